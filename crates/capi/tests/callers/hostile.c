/* A caller that does what it must not, as far as memory stays its own: every call answers, and none harms. */
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yuragi.h>

static int wrong = 0, calls = 0;

#define EXPECT(want, call)                                                                                        \
    do {                                                                                                          \
        yuragi_status have_ = (call);                                                                             \
        calls++;                                                                                                  \
        if (have_ != (want)) {                                                                                    \
            printf("line %d: `%s` gave \"%s\" (%s), not \"%s\"\n", __LINE__, #call, yuragi_status_text(have_),    \
                   yuragi_last_error(), yuragi_status_text(want));                                                \
            wrong++;                                                                                              \
        } else if (have_ != YURAGI_OK && strlen(yuragi_last_error()) < 8) {                                       \
            printf("line %d: `%s` gave no line\n", __LINE__, #call);                                              \
            wrong++;                                                                                              \
        }                                                                                                         \
    } while (0)

#define HOLDS(condition)                                                                                          \
    do {                                                                                                          \
        calls++;                                                                                                  \
        if (!(condition)) {                                                                                       \
            printf("line %d: `%s` does not hold (%s)\n", __LINE__, #condition, yuragi_last_error());              \
            wrong++;                                                                                              \
        }                                                                                                         \
    } while (0)

static int lines = 0;

static void count_lines(void *user, yuragi_level level, const char *line)
{
    (void)level;
    (void)line;
    ++*(int *)user;
}

/* A pool that begins with the last call, makes one twice, and works on one thread. */
static void backwards(void *user, size_t calls_, yuragi_work share, void *work)
{
    ++*(int *)user;
    for (size_t call = calls_; call-- > 0;)
        share(work, call);
    share(work, 12345);
}

static void lazy(void *user, size_t calls_, yuragi_work share, void *work)
{
    (void)user;
    (void)calls_;
    (void)share;
    (void)work;
}

static yuragi_job *shared_job;

static void *advance(void *seen)
{
    for (;;) {
        size_t done, total;
        yuragi_status status = yuragi_job_advance(shared_job, 3, &done, &total);
        if (status == YURAGI_BUSY)
            continue;
        *(yuragi_status *)seen = status;
        if (status != YURAGI_OK || done == total)
            return NULL;
    }
}

/* Draws with a job of its own. */
struct own_job {
    const yuragi_generator *generator;
    yuragi_status status;
    unsigned char pixels[64 * 64 * 3];
};

static void *draw(void *user)
{
    struct own_job *own_ = user;
    yuragi_request cat = {"a zorblax cat", NULL, 7};
    yuragi_sampling how = {NULL, 1, 1};
    yuragi_job *job;
    own_->status = yuragi_job_start(own_->generator, &cat, 1, &how, &job);
    if (own_->status == YURAGI_OK)
        own_->status = yuragi_job_advance(job, SIZE_MAX, NULL, NULL);
    if (own_->status == YURAGI_OK)
        own_->status = yuragi_job_picture(job, 0, YURAGI_RGB8, own_->pixels, sizeof own_->pixels);
    yuragi_job_free(job);
    return NULL;
}

static yuragi_annealing *own;
static yuragi_status inner;

static int32_t meddle(void *user, uint32_t done, uint32_t total)
{
    (void)total;
    inner = yuragi_annealing_advance(own, 1, NULL, NULL);
    yuragi_annealing_free(*(yuragi_annealing **)user);
    *(yuragi_annealing **)user = NULL;
    return done >= 3;
}

static void drawing(yuragi_cpu *cpu, const char *model_path)
{
    yuragi_model *model = NULL;
    yuragi_generator *generator = NULL;
    yuragi_job *job = NULL;
    unsigned char pixels[64 * 64 * 4];
    size_t done, total, width, height;

    EXPECT(YURAGI_NULL, yuragi_model_builtin(NULL));
    EXPECT(YURAGI_NULL, yuragi_model_from_bytes(NULL, 5, &model));
    EXPECT(YURAGI_FORMAT, yuragi_model_from_bytes((const uint8_t *)"", 0, &model));
    EXPECT(YURAGI_FORMAT, yuragi_model_from_bytes((const uint8_t *)"no model at all, only words", 27, &model));
    EXPECT(YURAGI_RANGE, yuragi_model_from_bytes((const uint8_t *)"x", SIZE_MAX, &model));
    EXPECT(YURAGI_NULL, yuragi_model_open(NULL, &model));
    EXPECT(YURAGI_FILE, yuragi_model_open("no/such/file", &model));
    EXPECT(YURAGI_TEXT, yuragi_model_open("\xff\xfe", &model));
    HOLDS(model == NULL && yuragi_model_size(NULL) == 0);

    /* A model's file that is cut off, anywhere. */
    FILE *file = fopen(model_path, "rb");
    HOLDS(file != NULL);
    if (file != NULL) {
        fseek(file, 0, SEEK_END);
        size_t size = (size_t)ftell(file);
        rewind(file);
        uint8_t *bytes = malloc(size);
        HOLDS(bytes != NULL && fread(bytes, 1, size, file) == size);
        fclose(file);
        const size_t cuts[] = {1, 7, 8, 9, 1000, size / 2, size - 1};
        for (size_t i = 0; i < sizeof cuts / sizeof *cuts; i++)
            EXPECT(YURAGI_FORMAT, yuragi_model_from_bytes(bytes, cuts[i], &model));
        bytes[3] ^= 0x40;
        EXPECT(YURAGI_FORMAT, yuragi_model_from_bytes(bytes, size, &model));
        bytes[3] ^= 0x40;
        EXPECT(YURAGI_OK, yuragi_model_from_bytes(bytes, size, &model));
        free(bytes);
        HOLDS(yuragi_model_size(model) == 64);
    }

    EXPECT(YURAGI_NULL, yuragi_generator_new(NULL, model, 1, &generator));
    EXPECT(YURAGI_NULL, yuragi_generator_new(cpu, NULL, 1, &generator));
    EXPECT(YURAGI_NULL, yuragi_generator_new(cpu, model, 1, NULL));
    EXPECT(YURAGI_RANGE, yuragi_generator_new(cpu, model, 0, &generator));
    EXPECT(YURAGI_RANGE, yuragi_generator_new(cpu, model, SIZE_MAX, &generator));
    EXPECT(YURAGI_OK, yuragi_generator_new(cpu, model, 1, &generator));
    yuragi_model_free(model);
    HOLDS(yuragi_generator_memory(generator) > 100000 && yuragi_generator_memory(NULL) == 0);
    EXPECT(YURAGI_OK, yuragi_generator_size(generator, &width, NULL));
    EXPECT(YURAGI_NULL, yuragi_generator_size(NULL, &width, &height));

    yuragi_request cat = {"a zorblax cat", NULL, 7}, nothing = {NULL, NULL, 0}, bytes = {"\xc3(", NULL, 0};
    yuragi_sampling how = yuragi_sampling_default(), odd = how;
    how.steps = 1;
    how.guidance = 1;
    EXPECT(YURAGI_NULL, yuragi_job_start(NULL, &cat, 1, &how, &job));
    EXPECT(YURAGI_NULL, yuragi_job_start(generator, NULL, 1, &how, &job));
    EXPECT(YURAGI_NULL, yuragi_job_start(generator, &nothing, 1, &how, &job));
    EXPECT(YURAGI_TEXT, yuragi_job_start(generator, &bytes, 1, &how, &job));
    EXPECT(YURAGI_RANGE, yuragi_job_start(generator, &cat, 0, &how, &job));
    EXPECT(YURAGI_RANGE, yuragi_job_start(generator, &cat, SIZE_MAX, &how, &job));
    odd.sampler = "no sampler";
    EXPECT(YURAGI_RANGE, yuragi_job_start(generator, &cat, 1, &odd, &job));
    odd.sampler = "\xff";
    EXPECT(YURAGI_TEXT, yuragi_job_start(generator, &cat, 1, &odd, &job));
    odd = how;
    odd.guidance = NAN;
    EXPECT(YURAGI_RANGE, yuragi_job_start(generator, &cat, 1, &odd, &job));
    odd.guidance = INFINITY;
    EXPECT(YURAGI_RANGE, yuragi_job_start(generator, &cat, 1, &odd, &job));
    odd.guidance = 1;
    odd.steps = 0;
    EXPECT(YURAGI_RANGE, yuragi_job_start(generator, &cat, 1, &odd, &job));
    odd.steps = UINT32_MAX;
    EXPECT(YURAGI_RANGE, yuragi_job_start(generator, &cat, 1, &odd, &job));
    HOLDS(job == NULL && lines == 0);
    EXPECT(YURAGI_OK, yuragi_job_start(generator, &cat, 1, &how, &job));
    HOLDS(lines == 1);

    /* Two threads with jobs of their own. */
    pthread_t threads[2];
    struct own_job jobs[2] = {{generator, YURAGI_INTERNAL, {0}}, {generator, YURAGI_INTERNAL, {0}}};
    yuragi_set_log(NULL, NULL);
    for (int i = 0; i < 2; i++)
        HOLDS(pthread_create(&threads[i], NULL, draw, &jobs[i]) == 0);
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    HOLDS(jobs[0].status == YURAGI_OK && jobs[1].status == YURAGI_OK);
    HOLDS(memcmp(jobs[0].pixels, jobs[1].pixels, sizeof jobs[0].pixels) == 0);
    yuragi_set_log(count_lines, &lines);
    yuragi_generator_free(generator);

    EXPECT(YURAGI_ORDER, yuragi_job_picture(job, 0, YURAGI_RGB8, pixels, sizeof pixels));
    EXPECT(YURAGI_ORDER, yuragi_job_preview(job, 0, YURAGI_RGB8, pixels, sizeof pixels, &width, &height));
    EXPECT(YURAGI_NULL, yuragi_job_advance(NULL, 1, &done, &total));
    EXPECT(YURAGI_OK, yuragi_job_advance(job, 0, NULL, NULL));
    EXPECT(YURAGI_OK, yuragi_job_advance(job, 1, &done, &total));
    HOLDS(done == 1 && total > 10);
    EXPECT(YURAGI_OK, yuragi_job_cancel(job));
    EXPECT(YURAGI_CANCELLED, yuragi_job_advance(job, 1, &done, &total));
    EXPECT(YURAGI_NULL, yuragi_job_restart(job, &nothing, 1, &how));
    EXPECT(YURAGI_CANCELLED, yuragi_job_advance(job, 1, &done, &total));
    EXPECT(YURAGI_OK, yuragi_job_restart(job, &cat, 1, &how));

    /* Two threads at one job. */
    yuragi_status seen[2];
    shared_job = job;
    for (int i = 0; i < 2; i++)
        HOLDS(pthread_create(&threads[i], NULL, advance, &seen[i]) == 0);
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    HOLDS(seen[0] == YURAGI_OK && seen[1] == YURAGI_OK);

    EXPECT(YURAGI_OK, yuragi_job_advance(job, SIZE_MAX, &done, &total));
    HOLDS(done == total);
    EXPECT(YURAGI_RANGE, yuragi_job_picture(job, 1, YURAGI_RGB8, pixels, sizeof pixels));
    EXPECT(YURAGI_RANGE, yuragi_job_picture(job, 0, 5, pixels, sizeof pixels));
    EXPECT(YURAGI_BUFFER, yuragi_job_picture(job, 0, YURAGI_RGB8, pixels, 64 * 64 * 3 - 1));
    EXPECT(YURAGI_BUFFER, yuragi_job_picture(job, 0, YURAGI_RGBA8, pixels, 64 * 64 * 3));
    EXPECT(YURAGI_BUFFER, yuragi_job_picture(job, 0, YURAGI_RGBA8, pixels, 0));
    EXPECT(YURAGI_NULL, yuragi_job_picture(job, 0, YURAGI_RGBA8, NULL, sizeof pixels));
    EXPECT(YURAGI_OK, yuragi_job_picture(job, 0, YURAGI_RGBA8, pixels, sizeof pixels));
    HOLDS(pixels[3] == 255 && pixels[sizeof pixels - 1] == 255);
    EXPECT(YURAGI_OK, yuragi_job_preview(job, 0, YURAGI_RGB8, pixels, sizeof pixels, &width, &height));
    HOLDS(width > 0 && width <= 64 && height == width);
    EXPECT(YURAGI_OK, yuragi_job_picture(job, 0, YURAGI_RGB8, pixels, sizeof pixels));
    HOLDS(memcmp(pixels, jobs[0].pixels, sizeof jobs[0].pixels) == 0);
    EXPECT(YURAGI_BUFFER, yuragi_job_preview(job, 0, YURAGI_RGB8, pixels, 3, NULL, NULL));
    yuragi_job_free(job);
}

static void annealing(void)
{
    yuragi_problem *problem = NULL;
    yuragi_annealing *annealing = NULL;
    const yuragi_term pair[] = {{0, 1, 1.0}}, self[] = {{1, 1, 1.0}}, far[] = {{0, 9, 1.0}}, none[] = {{0, 1, NAN}};
    const double fields[] = {0.5, INFINITY};
    double energies[4], energy;
    int16_t spins[4] = {1, 1, -1, 0};
    uint32_t done, total, read;

    EXPECT(YURAGI_NULL, yuragi_problem_spins(2, pair, 1, NULL, NULL));
    EXPECT(YURAGI_NULL, yuragi_problem_spins(2, NULL, 1, NULL, &problem));
    EXPECT(YURAGI_RANGE, yuragi_problem_spins(0, pair, 0, NULL, &problem));
    EXPECT(YURAGI_RANGE, yuragi_problem_spins(2, self, 1, NULL, &problem));
    EXPECT(YURAGI_RANGE, yuragi_problem_spins(2, far, 1, NULL, &problem));
    EXPECT(YURAGI_RANGE, yuragi_problem_spins(2, none, 1, NULL, &problem));
    EXPECT(YURAGI_RANGE, yuragi_problem_spins(2, pair, 1, fields, &problem));
    EXPECT(YURAGI_RANGE, yuragi_problem_spins(2, pair, SIZE_MAX, NULL, &problem));
    EXPECT(YURAGI_MEMORY, yuragi_problem_spins(SIZE_MAX, pair, 1, NULL, &problem));
    EXPECT(YURAGI_FORMAT, yuragi_problem_parse((const uint8_t *)"", 0, &problem));
    EXPECT(YURAGI_FORMAT, yuragi_problem_parse((const uint8_t *)"{\"J\": [[0, 1, 1", 15, &problem));
    EXPECT(YURAGI_TEXT, yuragi_problem_parse((const uint8_t *)"\xff\xff", 2, &problem));
    EXPECT(YURAGI_FILE, yuragi_problem_open("no/such/file", &problem));
    EXPECT(YURAGI_NULL, yuragi_problem_bits(2, NULL, 1, 0, &problem));
    EXPECT(YURAGI_RANGE, yuragi_problem_bits(0, pair, 1, 0, &problem));
    EXPECT(YURAGI_RANGE, yuragi_problem_bits(2, far, 1, 0, &problem));
    EXPECT(YURAGI_RANGE, yuragi_problem_bits(2, pair, 1, NAN, &problem));
    EXPECT(YURAGI_MEMORY, yuragi_problem_bits(SIZE_MAX, pair, 1, 0, &problem));
    EXPECT(YURAGI_NULL, yuragi_problem_potts(2, 3, NULL, 1, NULL, &problem));
    EXPECT(YURAGI_RANGE, yuragi_problem_potts(2, 1, pair, 1, NULL, &problem));
    EXPECT(YURAGI_RANGE, yuragi_problem_potts(2, 256, pair, 1, NULL, &problem));
    EXPECT(YURAGI_RANGE, yuragi_problem_potts(2, 3, self, 1, NULL, &problem));
    EXPECT(YURAGI_RANGE, yuragi_problem_potts(SIZE_MAX, 3, pair, 1, fields, &problem));
    EXPECT(YURAGI_MEMORY, yuragi_problem_potts(SIZE_MAX / 4, 3, pair, 1, NULL, &problem));
    EXPECT(YURAGI_NULL, yuragi_problem_kind(NULL, NULL, NULL));
    HOLDS(problem == NULL && yuragi_problem_length(NULL) == 0);
    EXPECT(YURAGI_OK, yuragi_problem_parse((const uint8_t *)"3 3\n1 2 5\n2 3 1\n1 3 1\n", 22, &problem));
    HOLDS(yuragi_problem_length(problem) == 3);
    EXPECT(YURAGI_RANGE, yuragi_problem_energy(problem, spins, 3, &energy));
    EXPECT(YURAGI_RANGE, yuragi_problem_energy(problem, spins, 2, &energy));
    EXPECT(YURAGI_NULL, yuragi_problem_energy(problem, NULL, 3, &energy));
    spins[2] = 0;
    EXPECT(YURAGI_NULL, yuragi_problem_energy(problem, spins, 3, NULL));
    EXPECT(YURAGI_OK, yuragi_problem_energy(problem, spins, 3, &energy));
    double cut;
    int32_t maximize;
    EXPECT(YURAGI_OK, yuragi_problem_objective(problem, energy, &cut, &maximize));
    HOLDS(cut == 2 && maximize == 1);

    yuragi_annealing_settings how = yuragi_annealing_default(), odd = how;
    how.sweeps = 10;
    how.reads = 4;
    EXPECT(YURAGI_NULL, yuragi_annealing_start(NULL, &how, &annealing));
    odd.sweeps = 0;
    EXPECT(YURAGI_RANGE, yuragi_annealing_start(problem, &odd, &annealing));
    odd = how;
    odd.reads = 0;
    EXPECT(YURAGI_RANGE, yuragi_annealing_start(problem, &odd, &annealing));
    odd = how;
    odd.chain = 2;
    EXPECT(YURAGI_RANGE, yuragi_annealing_start(problem, &odd, &annealing));
    odd.chain = YURAGI_HEAT_BATH;
    odd.first_beta = NAN;
    EXPECT(YURAGI_RANGE, yuragi_annealing_start(problem, &odd, &annealing));
    odd.first_beta = 1;
    odd.last_beta = -1;
    EXPECT(YURAGI_RANGE, yuragi_annealing_start(problem, &odd, &annealing));
    HOLDS(annealing == NULL);
    EXPECT(YURAGI_OK, yuragi_annealing_start(problem, &how, &annealing));
    yuragi_problem_free(problem);
    EXPECT(YURAGI_BUFFER, yuragi_annealing_energies(annealing, energies, 3));
    EXPECT(YURAGI_NULL, yuragi_annealing_energies(annealing, NULL, 4));
    EXPECT(YURAGI_OK, yuragi_annealing_energies(annealing, energies, 4));
    EXPECT(YURAGI_BUFFER, yuragi_annealing_values(annealing, 0, spins, 2));
    EXPECT(YURAGI_RANGE, yuragi_annealing_values(annealing, 4, spins, 4));
    EXPECT(YURAGI_OK, yuragi_annealing_advance(annealing, 4, &done, &total));
    HOLDS(done == 4 && total == 10);
    EXPECT(YURAGI_OK, yuragi_annealing_advance(annealing, UINT32_MAX, &done, &total));
    EXPECT(YURAGI_OK, yuragi_annealing_run(annealing, NULL, NULL));
    EXPECT(YURAGI_OK, yuragi_annealing_best(annealing, &read, &energy));
    HOLDS(energy == -6 && read < 4);
    yuragi_annealing_free(annealing);
    yuragi_annealing_free(NULL);

    /* Bits and colours. */
    yuragi_variables kind;
    uint32_t states;
    const yuragi_term cover[] = {{0, 0, 1.0}, {1, 1, 1.0}, {0, 1, 2.0}, {0, 0, -3.0}};
    const int16_t both[] = {1, 1}, outside[] = {0, 2}, red[] = {2, 2};
    EXPECT(YURAGI_OK, yuragi_problem_bits(2, cover, 4, 0.5, &problem));
    EXPECT(YURAGI_OK, yuragi_problem_kind(problem, &kind, &states));
    HOLDS(kind == YURAGI_BITS && states == 2);
    EXPECT(YURAGI_OK, yuragi_problem_energy(problem, both, 2, &energy));
    HOLDS(energy == 1.5);
    EXPECT(YURAGI_RANGE, yuragi_problem_energy(problem, outside, 2, &energy));
    spins[0] = -1;
    EXPECT(YURAGI_RANGE, yuragi_problem_energy(problem, spins, 2, &energy));
    EXPECT(YURAGI_OK, yuragi_annealing_start(problem, &how, &annealing));
    yuragi_problem_free(problem);
    EXPECT(YURAGI_OK, yuragi_annealing_run(annealing, NULL, NULL));
    EXPECT(YURAGI_OK, yuragi_annealing_best(annealing, &read, &energy));
    EXPECT(YURAGI_OK, yuragi_annealing_values(annealing, read, spins, 4));
    HOLDS(energy == -1.5 && spins[0] == 1 && spins[1] == 0);
    yuragi_annealing_free(annealing);
    const yuragi_term apart[] = {{0, 1, -1.0}, {1, 2, -1.0}, {0, 2, -1.0}};
    const double first[] = {0, 0, 0.25, 0, 0, 0, 0, 0, 0};
    EXPECT(YURAGI_OK, yuragi_problem_potts(3, 3, apart, 3, first, &problem));
    EXPECT(YURAGI_OK, yuragi_problem_kind(problem, &kind, &states));
    HOLDS(kind == YURAGI_POTTS && states == 3 && yuragi_problem_length(problem) == 3);
    EXPECT(YURAGI_RANGE, yuragi_problem_energy(problem, red, 2, &energy));
    for (how.chain = YURAGI_METROPOLIS; how.chain <= YURAGI_HEAT_BATH; how.chain++) {
        how.sweeps = 200;
        EXPECT(YURAGI_OK, yuragi_annealing_start(problem, &how, &annealing));
        EXPECT(YURAGI_OK, yuragi_annealing_run(annealing, NULL, NULL));
        EXPECT(YURAGI_OK, yuragi_annealing_best(annealing, &read, &energy));
        EXPECT(YURAGI_OK, yuragi_annealing_values(annealing, read, spins, 4));
        HOLDS(energy == -0.25 && spins[0] == 2 && spins[1] + spins[2] == 1);
        yuragi_annealing_free(annealing);
    }
    yuragi_problem_free(problem);
    EXPECT(YURAGI_OK, yuragi_problem_parse((const uint8_t *)"{\"Q\": [[0, 1, 1]]}", 18, &problem));
    EXPECT(YURAGI_OK, yuragi_problem_kind(problem, &kind, NULL));
    HOLDS(kind == YURAGI_BITS);
    yuragi_problem_free(problem);

    /* A callback that works on its own annealing, and frees it. */
    EXPECT(YURAGI_OK, yuragi_problem_spins(2, pair, 1, NULL, &problem));
    EXPECT(YURAGI_OK, yuragi_annealing_start(problem, NULL, &own));
    yuragi_problem_free(problem);
    annealing = own;
    EXPECT(YURAGI_CANCELLED, yuragi_annealing_run(own, meddle, &annealing));
    HOLDS(inner == YURAGI_BUSY && annealing == NULL);
}

static void graphs(yuragi_cpu *cpu)
{
    yuragi_graph *graph = NULL;
    yuragi_plan *plan = NULL;
    yuragi_store *store = NULL;
    yuragi_state *state = NULL;
    yuragi_memory memory;
    const size_t two[] = {2, 2}, huge[] = {SIZE_MAX, 2}, large[] = {(size_t)1 << 23, (size_t)1 << 23};
    float values[4] = {1, 2, 3, 4}, out[4];
    const char *name;
    size_t length;

    /* A mistake is kept, and told when it is compiled. */
    EXPECT(YURAGI_NULL, yuragi_graph_new(NULL));
    HOLDS(yuragi_graph_input(NULL, "x", two, 2, YURAGI_F32) == YURAGI_NO_TENSOR);
    for (int mistake = 0; mistake < 15; mistake++) {
        EXPECT(YURAGI_OK, yuragi_graph_new(&graph));
        yuragi_tensor x = yuragi_graph_input(graph, "x", two, 2, YURAGI_F32);
        yuragi_status kind = YURAGI_GRAPH;
        switch (mistake) {
        case 0: yuragi_graph_input(graph, "x", two, 2, YURAGI_F32); break;
        case 1: yuragi_graph_unary(graph, YURAGI_TANH, 99); break;
        case 2: yuragi_graph_unary(graph, 99, x); kind = YURAGI_RANGE; break;
        case 3: yuragi_graph_input(graph, NULL, two, 2, YURAGI_F32); kind = YURAGI_NULL; break;
        case 4: yuragi_graph_input(graph, "y", two, 7, YURAGI_F32); kind = YURAGI_RANGE; break;
        case 5: yuragi_graph_input(graph, "y", huge, 2, YURAGI_F32); break;
        case 6: yuragi_graph_constant(graph, two, 2, values, 3); break;
        case 7: yuragi_graph_parameter(graph, "w", two, 2, YURAGI_NORMAL, NAN); kind = YURAGI_RANGE; break;
        case 8: yuragi_graph_input(graph, "\xff", two, 2, YURAGI_F32); kind = YURAGI_TEXT; break;
        case 9: yuragi_graph_reshape(graph, x, two, 1); break;
        case 10: yuragi_graph_linear(graph, "l", YURAGI_NO_TENSOR, 3); break;
        case 12: yuragi_graph_train(graph, x, 9, 0, 0); kind = YURAGI_RANGE; break;
        case 13: yuragi_graph_train(graph, x, YURAGI_SGD, NAN, 0); kind = YURAGI_RANGE; break;
        case 14: yuragi_graph_train(graph, x, YURAGI_SGD, 0, 0); break; /* no single number */
        case 11: yuragi_graph_matmul(graph, x, yuragi_graph_fold(graph, YURAGI_SUM, x, NULL, 0)); break;
        }
        EXPECT(YURAGI_OK, yuragi_graph_output(graph, "out", x));
        EXPECT(kind, yuragi_plan_new(cpu, graph, &plan));
        HOLDS(plan == NULL);
        yuragi_graph_free(graph);
    }

    EXPECT(YURAGI_OK, yuragi_graph_new(&graph));
    yuragi_tensor x = yuragi_graph_input(graph, "x", two, 2, YURAGI_F32);
    yuragi_tensor w = yuragi_graph_parameter(graph, "w", two, 2, YURAGI_CONSTANT, 2);
    yuragi_tensor y = yuragi_graph_matmul(graph, x, w);
    EXPECT(YURAGI_GRAPH, yuragi_graph_output(graph, "bad", 1234));
    EXPECT(YURAGI_NULL, yuragi_graph_output(graph, NULL, y));
    EXPECT(YURAGI_OK, yuragi_graph_output(graph, "y", y));
    EXPECT(YURAGI_NULL, yuragi_plan_new(NULL, graph, &plan));
    EXPECT(YURAGI_OK, yuragi_plan_new(cpu, graph, &plan));
    yuragi_graph_free(graph);
    EXPECT(YURAGI_NULL, yuragi_plan_memory(plan, NULL));
    EXPECT(YURAGI_OK, yuragi_plan_memory(plan, &memory));
    HOLDS(memory.arena >= 32 && memory.parameters == 16);
    HOLDS(yuragi_plan_inputs(plan) == 1 && yuragi_plan_outputs(plan) == 1 && yuragi_plan_inputs(NULL) == 0);
    EXPECT(YURAGI_RANGE, yuragi_plan_input(plan, 1, &name, &length));
    HOLDS(name == NULL);
    EXPECT(YURAGI_OK, yuragi_plan_output(plan, 0, &name, &length));
    HOLDS(strcmp(name, "y") == 0 && length == 4);

    EXPECT(YURAGI_OK, yuragi_store_new(&store));
    EXPECT(YURAGI_GRAPH, yuragi_state_new(plan, store, &state));
    EXPECT(YURAGI_RANGE, yuragi_store_read(store, "w", values, 4));
    EXPECT(YURAGI_OK, yuragi_store_initialise(store, plan, 0));
    EXPECT(YURAGI_OK, yuragi_store_length(store, "w", &length));
    HOLDS(length == 4);
    EXPECT(YURAGI_BUFFER, yuragi_store_read(store, "w", out, 3));
    EXPECT(YURAGI_RANGE, yuragi_store_write(store, "w", values, 3));
    values[2] = NAN;
    EXPECT(YURAGI_RANGE, yuragi_store_write(store, "w", values, 4));
    values[2] = 3;
    EXPECT(YURAGI_OK, yuragi_store_write(store, "w", values, 4));
    EXPECT(YURAGI_OK, yuragi_state_new(plan, store, &state));

    yuragi_input in = {values, 4};
    yuragi_output to = {out, 4};
    EXPECT(YURAGI_NULL, yuragi_state_run(NULL, &in, 1, &to, 1));
    EXPECT(YURAGI_RANGE, yuragi_state_run(state, &in, 0, &to, 1));
    EXPECT(YURAGI_RANGE, yuragi_state_run(state, &in, 1, &to, 0));
    EXPECT(YURAGI_NULL, yuragi_state_run(state, NULL, 1, &to, 1));
    in.count = 3;
    EXPECT(YURAGI_BUFFER, yuragi_state_run(state, &in, 1, &to, 1));
    in.count = SIZE_MAX;
    EXPECT(YURAGI_RANGE, yuragi_state_run(state, &in, 1, &to, 1));
    in = (yuragi_input){NULL, 4};
    EXPECT(YURAGI_NULL, yuragi_state_run(state, &in, 1, &to, 1));
    in = (yuragi_input){(const char *)values + 1, 4};
    EXPECT(YURAGI_RANGE, yuragi_state_run(state, &in, 1, &to, 1));
    in = (yuragi_input){out, 4};
    EXPECT(YURAGI_RANGE, yuragi_state_run(state, &in, 1, &to, 1));
    in = (yuragi_input){values, 4};
    EXPECT(YURAGI_OK, yuragi_state_run(state, &in, 1, &to, 1));
    HOLDS(out[0] == 7 && out[1] == 10 && out[2] == 15 && out[3] == 22);
    EXPECT(YURAGI_RANGE, yuragi_state_set_rate(state, NAN));
    EXPECT(YURAGI_RANGE, yuragi_state_set_rate(state, -1));
    yuragi_store_free(store);
    yuragi_plan_free(plan);
    EXPECT(YURAGI_OK, yuragi_state_run(state, &in, 1, &to, 1));
    yuragi_state_free(state);

    /* More memory than there is. */
    EXPECT(YURAGI_OK, yuragi_graph_new(&graph));
    y = yuragi_graph_unary(graph, YURAGI_EXP, yuragi_graph_parameter(graph, "w", large, 2, YURAGI_CONSTANT, 0));
    EXPECT(YURAGI_OK, yuragi_graph_output(graph, "y", yuragi_graph_fold(graph, YURAGI_MEAN, y, NULL, 0)));
    EXPECT(YURAGI_OK, yuragi_plan_new(cpu, graph, &plan));
    EXPECT(YURAGI_OK, yuragi_store_new(&store));
    EXPECT(YURAGI_MEMORY, yuragi_store_initialise(store, plan, 0));
    yuragi_store_free(store);
    yuragi_plan_free(plan);
    yuragi_graph_free(graph);

    /* A step of training, its gradient, and what it refuses. */
    EXPECT(YURAGI_OK, yuragi_graph_new(&graph));
    x = yuragi_graph_input(graph, "x", two, 2, YURAGI_F32);
    w = yuragi_graph_parameter(graph, "w", two, 2, YURAGI_CONSTANT, 1);
    yuragi_tensor loss = yuragi_graph_loss(graph, YURAGI_MSE, x, w), gradient;
    EXPECT(YURAGI_OK, yuragi_graph_gradient(graph, loss, &w, &gradient, 1));
    HOLDS(yuragi_graph_train(graph, loss, YURAGI_SGD, 0, 0) != YURAGI_NO_TENSOR);
    EXPECT(YURAGI_OK, yuragi_graph_output(graph, "gradient", gradient));
    EXPECT(YURAGI_OK, yuragi_plan_new(cpu, graph, &plan));
    HOLDS(yuragi_plan_inputs(plan) == 1);
    EXPECT(YURAGI_OK, yuragi_store_new(&store));
    EXPECT(YURAGI_OK, yuragi_store_initialise(store, plan, 0));
    EXPECT(YURAGI_OK, yuragi_state_new(plan, store, &state));
    EXPECT(YURAGI_OK, yuragi_state_set_rate(state, 2));
    EXPECT(YURAGI_OK, yuragi_state_run(state, &in, 1, &to, 1));
    HOLDS(out[0] == 0 && out[1] == -0.5f && out[3] == -1.5f);
    EXPECT(YURAGI_OK, yuragi_store_read(store, "w", out, 4));
    HOLDS(memcmp(out, values, sizeof out) == 0);
    yuragi_state_free(state);
    yuragi_store_free(store);
    yuragi_plan_free(plan);
    yuragi_graph_free(graph);
}

int main(int count, char **words)
{
    yuragi_cpu *cpu = NULL;
    int used = 0;
    yuragi_pool pool = {3, backwards, &used}, none = {0, backwards, NULL}, idle = {2, lazy, NULL}, gap = {2, NULL, NULL};

    /* The parts named behind the model's file, or all. */
    int all = count == 2, draws = count == 3 && !strcmp(words[2], "drawing"), computes = count == 3 && !strcmp(words[2], "computing");

    if (!(all || draws || computes)) {
        fprintf(stderr, "%s MODEL [drawing|computing]\n", words[0]);
        return 2;
    }
    draws |= all;
    computes |= all;

    HOLDS(strlen(yuragi_version()) >= 5 && *yuragi_last_error() == 0);
    HOLDS(strlen(yuragi_status_text(-1)) > 5 && strlen(yuragi_status_text(INT32_MAX)) > 5);
    EXPECT(YURAGI_OK, yuragi_set_log(count_lines, &lines));
    EXPECT(YURAGI_NULL, yuragi_cpu_new(1, NULL));
    EXPECT(YURAGI_NULL, yuragi_cpu_on(NULL, &cpu));
    EXPECT(YURAGI_NULL, yuragi_cpu_on(&gap, &cpu));
    EXPECT(YURAGI_RANGE, yuragi_cpu_on(&none, &cpu));
    HOLDS(cpu == NULL && yuragi_cpu_threads(NULL) == 0);
    EXPECT(YURAGI_ORDER, yuragi_set_allocator(&(yuragi_allocator){NULL, NULL, NULL}) == YURAGI_NULL
                             ? YURAGI_ORDER
                             : YURAGI_INTERNAL);

    if (draws) {
        EXPECT(YURAGI_OK, yuragi_cpu_on(&pool, &cpu));
        HOLDS(yuragi_cpu_threads(cpu) == 3);
        drawing(cpu, words[1]);
        HOLDS(used > 0);
        yuragi_cpu_free(cpu);
    }
    if (computes) {
        annealing();
        EXPECT(YURAGI_OK, yuragi_cpu_on(&idle, &cpu));
        graphs(cpu);
        yuragi_cpu_free(cpu);
        EXPECT(YURAGI_OK, yuragi_cpu_new(3, &cpu));
        graphs(cpu);
        yuragi_cpu_free(cpu);
    }
    yuragi_cpu_free(NULL);
    EXPECT(YURAGI_OK, yuragi_set_log(NULL, NULL));
    printf("%d checks, %d wrong, %d lines of log\n", calls, wrong, lines);
    return wrong != 0;
}
