/* A caller with its own allocator, which counts: nothing is taken while pictures, sweeps and runs are under way, and all
 * is given back. In the end it refuses. */
#include <stdio.h>
#include <stdlib.h>
#include <yuragi.h>

static size_t taken = 0, live = 0, most = SIZE_MAX;

static void *allocate(void *user, size_t size, size_t alignment)
{
    (void)user;
    taken++;
    if (size > most)
        return NULL;
    live += size;
    return aligned_alloc(alignment < sizeof(void *) ? sizeof(void *) : alignment,
                         (size + alignment + 7) / (alignment < 8 ? 8 : alignment) * (alignment < 8 ? 8 : alignment));
}

static void release(void *user, void *memory, size_t size, size_t alignment)
{
    (void)user;
    (void)alignment;
    live -= size;
    free(memory);
}

#define OK(call)                                                                                                  \
    do {                                                                                                          \
        if ((call) != YURAGI_OK) {                                                                                \
            printf("`%s`: %s\n", #call, yuragi_last_error());                                                     \
            return 1;                                                                                             \
        }                                                                                                         \
    } while (0)

int main(void)
{
    yuragi_allocator own = {allocate, release, NULL};
    OK(yuragi_set_allocator(&own));
    yuragi_cpu *cpu;
    yuragi_model *model;
    yuragi_generator *generator;
    yuragi_job *job;
    OK(yuragi_cpu_new(1, &cpu));
    if (taken == 0 || yuragi_set_allocator(&own) != YURAGI_ORDER)
        return printf("the allocator is not asked, or asked twice\n");
    OK(yuragi_model_builtin(&model));
    OK(yuragi_generator_new(cpu, model, 1, &generator));
    yuragi_request cat = {"a cat", "a dog", 7}, dog = {"a dog", NULL, 8};
    yuragi_sampling how = yuragi_sampling_default();
    how.steps = 2;
    OK(yuragi_job_start(generator, &cat, 1, &how, &job));
    unsigned char pixels[128 * 128 * 3];
    size_t before = taken, done, total;
    OK(yuragi_job_advance(job, 100, &done, &total));
    OK(yuragi_job_advance(job, SIZE_MAX, &done, &total));
    OK(yuragi_job_picture(job, 0, YURAGI_RGB8, pixels, sizeof pixels));
    printf("drawing: %zu allocations\n", taken - before);
    size_t drawing = taken - before, at_start = live;
    before = taken;
    OK(yuragi_job_restart(job, &dog, 1, &how));
    printf("a restart: %zu allocations, %zd bytes more than before\n", taken - before, (ptrdiff_t)(live - at_start));
    before = taken;
    OK(yuragi_job_advance(job, SIZE_MAX, &done, &total));
    drawing += taken - before;

    yuragi_term ring[100];
    for (uint32_t k = 0; k < 100; k++)
        ring[k] = (yuragi_term){k, (k + 1) % 100, 1.0};
    yuragi_problem *problem;
    yuragi_annealing *annealing;
    OK(yuragi_problem_spins(100, ring, 100, NULL, &problem));
    OK(yuragi_annealing_start(problem, NULL, &annealing));
    double energies[16];
    int16_t spins[100];
    before = taken;
    OK(yuragi_annealing_advance(annealing, 500, NULL, NULL));
    OK(yuragi_annealing_run(annealing, NULL, NULL));
    printf("annealing: %zu allocations\n", taken - before);
    size_t sweeping = taken - before;
    OK(yuragi_annealing_energies(annealing, energies, 16));
    OK(yuragi_annealing_values(annealing, 3, spins, 100));
    yuragi_annealing_free(annealing);
    yuragi_problem_free(problem);

    yuragi_graph *graph;
    yuragi_plan *plan;
    yuragi_store *store;
    yuragi_state *state;
    const size_t shape[] = {4, 2};
    OK(yuragi_graph_new(&graph));
    yuragi_tensor x = yuragi_graph_input(graph, "x", shape, 2, YURAGI_F32);
    yuragi_tensor y = yuragi_graph_unary(graph, YURAGI_GELU, yuragi_graph_linear(graph, "l", x, 2));
    yuragi_graph_train(graph, yuragi_graph_loss(graph, YURAGI_MSE, y, x), YURAGI_ADAM, 0.1f, 1.0f);
    OK(yuragi_graph_output(graph, "y", y));
    OK(yuragi_plan_new(cpu, graph, &plan));
    OK(yuragi_store_new(&store));
    OK(yuragi_store_initialise(store, plan, 1));
    OK(yuragi_state_new(plan, store, &state));
    float values[8] = {0, 1, 2, 3, 4, 5, 6, 7}, out[8];
    yuragi_input in = {values, 8};
    yuragi_output to = {out, 8};
    before = taken;
    for (int step = 0; step < 10; step++)
        OK(yuragi_state_run(state, &in, 1, &to, 1));
    printf("training: %zu allocations\n", taken - before);
    size_t training = taken - before;
    yuragi_state_free(state);
    yuragi_store_free(store);
    yuragi_plan_free(plan);
    yuragi_graph_free(graph);

    /* An allocator that has no large pieces any more. */
    yuragi_job *more = NULL;
    most = 100000;
    yuragi_status refused = yuragi_job_start(generator, &cat, 1, &how, &more);
    printf("a job without memory: %s\n", yuragi_status_text(refused));
    /* Few letters that name many variables. */
    yuragi_problem *far = NULL;
    yuragi_status large = yuragi_problem_parse((const uint8_t *)"0 60000000 1", 12, &far);
    printf("a problem without memory: %s\n", yuragi_status_text(large));
    most = SIZE_MAX;

    yuragi_job_free(job);
    yuragi_generator_free(generator);
    yuragi_model_free(model);
    yuragi_cpu_free(cpu);
    printf("%zu bytes are left\n", live);
    return drawing + sweeping + training != 0 || refused != YURAGI_MEMORY || large != YURAGI_MEMORY || more != NULL ||
           far != NULL || live > 256;
}
