// A perceptron learns two spirals apart: one graph for a step of training, one for use, on shared weights.
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <vector>
#include <yuragi.h>

static void check(yuragi_status status)
{
    if (status != YURAGI_OK) {
        std::fprintf(stderr, "%s (%s)\n", yuragi_last_error(), yuragi_status_text(status));
        std::exit(1);
    }
}

// A handle that frees itself.
template <typename T, void (*Free)(T *)> struct Freed {
    void operator()(T *handle) const { Free(handle); }
};
template <typename T, void (*Free)(T *)> using Handle = std::unique_ptr<T, Freed<T, Free>>;
using Cpu = Handle<yuragi_cpu, yuragi_cpu_free>;
using Graph = Handle<yuragi_graph, yuragi_graph_free>;
using Plan = Handle<yuragi_plan, yuragi_plan_free>;
using Store = Handle<yuragi_store, yuragi_store_free>;
using State = Handle<yuragi_state, yuragi_state_free>;

// What `make` writes to its last argument.
template <typename H, typename F, typename... A> H made(F make, A... arguments)
{
    typename H::pointer handle = nullptr;
    check(make(arguments..., &handle));
    return H(handle);
}

static yuragi_tensor network(const yuragi_graph *graph, size_t rows)
{
    const size_t shape[] = {rows, 2};
    yuragi_tensor x = yuragi_graph_input(graph, "x", shape, 2, YURAGI_F32);
    x = yuragi_graph_unary(graph, YURAGI_TANH, yuragi_graph_linear(graph, "first", x, 32));
    x = yuragi_graph_unary(graph, YURAGI_TANH, yuragi_graph_linear(graph, "second", x, 32));
    return yuragi_graph_linear(graph, "last", x, 2);
}

int main()
{
    const size_t rows = 200;
    std::vector<float> points;
    std::vector<int32_t> classes;
    for (size_t i = 0; i < rows; i++) {
        const int which = static_cast<int>(i % 2);
        const float along = static_cast<float>(i / 2) / 100.0f;
        const float angle = 6.0f * along + 3.14159265f * static_cast<float>(which);
        points.push_back(along * std::cos(angle));
        points.push_back(along * std::sin(angle));
        classes.push_back(which);
    }

    const Cpu cpu = made<Cpu>(yuragi_cpu_new, size_t(1));
    const Graph learning = made<Graph>(yuragi_graph_new), use = made<Graph>(yuragi_graph_new);
    const yuragi_tensor logits = network(learning.get(), rows);
    const yuragi_tensor truth = yuragi_graph_input(learning.get(), "class", &rows, 1, YURAGI_I32);
    const yuragi_tensor loss = yuragi_graph_loss(learning.get(), YURAGI_CROSS_ENTROPY, logits, truth);
    yuragi_graph_train(learning.get(), loss, YURAGI_ADAM, 0.0f, 1.0f);
    check(yuragi_graph_output(learning.get(), "loss", loss));
    check(yuragi_graph_output(use.get(), "shares", yuragi_graph_softmax(use.get(), network(use.get(), rows))));

    const Plan step = made<Plan>(yuragi_plan_new, cpu.get(), learning.get());
    const Plan plan = made<Plan>(yuragi_plan_new, cpu.get(), use.get());
    const Store store = made<Store>(yuragi_store_new);
    check(yuragi_store_initialise(store.get(), step.get(), 1));
    const State training = made<State>(yuragi_state_new, step.get(), store.get());
    const State state = made<State>(yuragi_state_new, plan.get(), store.get());
    yuragi_memory memory;
    check(yuragi_plan_memory(step.get(), &memory));
    std::printf("a step takes %zu bytes beside %zu of parameters\n", memory.arena, memory.parameters);

    float error = 0;
    const yuragi_input data[] = {{points.data(), points.size()}, {classes.data(), classes.size()}};
    const yuragi_output result = {&error, 1};
    check(yuragi_state_set_rate(training.get(), 0.01f));
    for (int i = 0; i < 600; i++) {
        check(yuragi_state_run(training.get(), data, 2, &result, 1));
        if (i % 200 == 0)
            std::printf("step %d: loss %.4f\n", i, static_cast<double>(error));
    }

    std::vector<float> shares(2 * rows);
    const yuragi_output answer = {shares.data(), shares.size()};
    check(yuragi_state_run(state.get(), data, 1, &answer, 1));
    size_t right = 0;
    for (size_t i = 0; i < rows; i++)
        right += (shares[2 * i + 1] > 0.5f) == (classes[i] == 1);
    std::printf("%zu of %zu points are told right, loss %.4f\n", right, rows, static_cast<double>(error));
    return right >= 195 ? 0 : 1;
}
