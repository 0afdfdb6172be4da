/*
 * Yuragi: pictures from words, annealing, and graphs of one's own.
 *
 * Link with -lyuragi; the static library takes -lm -lpthread -ldl, too.
 *
 * Handles.    What a function makes it writes to its last argument, and NULL where it fails. Every handle has a function
 *             that frees it, for which NULL is nothing; what is made of a handle stays when that is freed. A handle that
 *             was freed must not be used.
 * Answers.    Functions answer with a yuragi_status; yuragi_last_error() has a line about this thread's last failure.
 *             A function that fails changes nothing, unless it says otherwise.
 * Threads.    Every function may be called on any thread. yuragi_cpu, yuragi_model, yuragi_generator, yuragi_problem and
 *             yuragi_plan never change, so that any number of threads may work with one at the same time; where one works
 *             with a yuragi_job, yuragi_annealing, yuragi_graph or yuragi_state, or changes a yuragi_store, calls of
 *             others are refused with YURAGI_BUSY and change nothing.
 * Callbacks.  Functions given to the library must return: no longjmp and no exception may leave them.
 * Texts.      UTF-8 that ends with 0.
 * Numbers.    Those that say what to do, such as rates, temperatures and weights of a problem, must be finite; elements of
 *             tensors may be anything.
 * Memory.     Nothing is taken by yuragi_job_advance, yuragi_job_picture, yuragi_annealing_advance with one thread,
 *             yuragi_state_run and what reads a store, unless they fail. What can be large is refused with YURAGI_MEMORY
 *             where it is not there.
 */


#ifndef YURAGI_H
#define YURAGI_H

/* Made from the comments in crates/capi/src; see crates/capi/tests/header.rs. */

#include <stddef.h>
#include <stdint.h>

// The most axes of a tensor.
#define YURAGI_MAX_RANK 6

// The most inputs of a graph, and the most outputs.
#define YURAGI_MAX_OPERANDS 16

// What a function answers.
typedef enum yuragi_status {
    // It did what it was asked to.
    YURAGI_OK = 0,
    // A pointer that must not be is NULL.
    YURAGI_NULL = 1,
    // A text is not UTF-8.
    YURAGI_TEXT = 2,
    // A number, a name or a length outside its legal range.
    YURAGI_RANGE = 3,
    // A buffer is too short.
    YURAGI_BUFFER = 4,
    // Too early or too late: what is asked for is not there yet, or no more.
    YURAGI_ORDER = 5,
    // Another call works on this handle.
    YURAGI_BUSY = 6,
    // A file that cannot be opened.
    YURAGI_FILE = 7,
    // A file or a text that is not what it should be.
    YURAGI_FORMAT = 8,
    // A graph that cannot be built or run.
    YURAGI_GRAPH = 9,
    // There is not enough memory.
    YURAGI_MEMORY = 10,
    // It was cancelled.
    YURAGI_CANCELLED = 11,
    // This library was built without it.
    YURAGI_UNSUPPORTED = 12,
    // A mistake in this library; the handle is good for nothing but to be freed. A library that was built to be small
    // (`cargo xtask capi`) says its line to the log as YURAGI_ERROR, and ends the process.
    YURAGI_INTERNAL = 13,
} yuragi_status;

// How much a line of the log matters.
typedef enum yuragi_level {
    // What was taken for granted.
    YURAGI_INFO = 0,
    // What may not be what was meant, such as a word that the model never met.
    YURAGI_WARNING = 1,
    // A mistake in the library.
    YURAGI_ERROR = 2,
} yuragi_level;

// What a variable's value can be.
typedef enum yuragi_variables {
    // -1 or +1.
    YURAGI_SPINS = 0,
    // 0 or 1.
    YURAGI_BITS = 1,
    // 0 to q - 1.
    YURAGI_POTTS = 2,
} yuragi_variables;

// The bytes of a pixel: red, green, blue, and with YURAGI_RGBA8 a last one that is 255.
typedef enum yuragi_pixels {
    // 3 bytes.
    YURAGI_RGB8 = 3,
    // 4 bytes.
    YURAGI_RGBA8 = 4,
} yuragi_pixels;

// How a variable decides.
typedef enum yuragi_chain {
    // Metropolis: what loses no energy always happens.
    YURAGI_METROPOLIS = 0,
    // Heat bath: each variable is drawn anew, given its neighbours.
    YURAGI_HEAT_BATH = 1,
} yuragi_chain;

// The type of an input's elements.
typedef enum yuragi_dtype {
    // float.
    YURAGI_F32 = 0,
    // int32_t: classes and rows.
    YURAGI_I32 = 1,
} yuragi_dtype;

// How a parameter begins.
typedef enum yuragi_init {
    // Every element is the value.
    YURAGI_CONSTANT = 0,
    // Normal, with mean 0 and the value as deviation.
    YURAGI_NORMAL = 1,
    // Uniform in plus or minus the value.
    YURAGI_UNIFORM = 2,
} yuragi_init;

// A function of each element.
typedef enum yuragi_unary {
    // -x
    YURAGI_NEG = 0,
    // |x|
    YURAGI_ABS = 1,
    // e to the x
    YURAGI_EXP = 2,
    // The natural logarithm
    YURAGI_LN = 3,
    // The square root
    YURAGI_SQRT = 4,
    // 1/x
    YURAGI_RECIP = 5,
    // The sine of x radians
    YURAGI_SIN = 6,
    // The cosine of x radians
    YURAGI_COS = 7,
    // The hyperbolic tangent
    YURAGI_TANH = 8,
    // 1/(1 + e to the -x)
    YURAGI_SIGMOID = 9,
    // The larger of x and 0
    YURAGI_RELU = 10,
    // x times its sigmoid
    YURAGI_SILU = 11,
    // x times the normal distribution function of x
    YURAGI_GELU = 12,
} yuragi_unary;

// A function of two elements; shapes are stretched as NumPy does.
typedef enum yuragi_binary {
    // a + b
    YURAGI_ADD = 0,
    // a - b
    YURAGI_SUB = 1,
    // a b
    YURAGI_MUL = 2,
    // a/b
    YURAGI_DIV = 3,
    // The larger
    YURAGI_MAX = 4,
    // The smaller
    YURAGI_MIN = 5,
    // 1 where a < b, else 0
    YURAGI_LESS = 6,
    // 1 where a = b, else 0
    YURAGI_EQUAL = 7,
} yuragi_binary;

// A fold along axes.
typedef enum yuragi_fold {
    // The sum
    YURAGI_SUM = 0,
    // The mean
    YURAGI_MEAN = 1,
    // The largest
    YURAGI_LARGEST = 2,
} yuragi_fold;

// What is minimised.
typedef enum yuragi_loss {
    // The mean of (a - b) squared
    YURAGI_MSE = 0,
    // The mean of |a - b|
    YURAGI_L1 = 1,
    // Of logits and probabilities: the mean cross-entropy of yes and no
    YURAGI_BCE = 2,
    // Of logits [.., K] and YURAGI_I32 classes [..]: the mean of -ln softmax at the class
    YURAGI_CROSS_ENTROPY = 3,
} yuragi_loss;

// How parameters step against the gradient.
typedef enum yuragi_optimizer {
    // Gradient descent
    YURAGI_SGD = 0,
    // Gradient descent with a momentum of 0.9
    YURAGI_MOMENTUM = 1,
    // Adam with betas 0.9 and 0.999
    YURAGI_ADAM = 2,
} yuragi_optimizer;

// Reads of a problem that are annealed together. A call on one thread is refused with YURAGI_BUSY while another one
// works on it.
typedef struct yuragi_annealing yuragi_annealing;

// The processor with threads to work on. All results are the same for any number of threads, and for any pool. Pictures
// are convolved by minimal filtering, whose rounding errors are up to three times those of plain single precision.
typedef struct yuragi_cpu yuragi_cpu;

// A model's networks, compiled for so many pictures at a time. Several jobs may share one, on several threads.
typedef struct yuragi_generator yuragi_generator;

// A graph under construction: a network, its loss, a step of its training. Functions that add to it return a
// yuragi_tensor; the first mistake is kept, and told by yuragi_plan_new, so that what is in between needs no checks. A
// call on one thread fails while another one works on it.
typedef struct yuragi_graph yuragi_graph;

// A batch of pictures under way. A call on one thread is refused with YURAGI_BUSY while another one works on it; only
// yuragi_job_cancel may be called at any time.
typedef struct yuragi_job yuragi_job;

// A trained model that draws pictures from words. Several generators may share one; it may be freed before they are.
typedef struct yuragi_model yuragi_model;

// A graph compiled for the processor. It never changes: any number of states may run it, on several threads.
typedef struct yuragi_plan yuragi_plan;

// Variables, and an energy of them that is sought to be low. It never changes: any number of annealings may share it, on
// several threads.
typedef struct yuragi_problem yuragi_problem;

// What one run at a time needs. A call on one thread is refused with YURAGI_BUSY while another one works on it.
typedef struct yuragi_state yuragi_state;

// Named parameters, which several plans share: a step of training and the network that it trains. Runs that only read
// them may go on at the same time; one that changes them is refused with YURAGI_BUSY while others read, and the others
// while it runs.
typedef struct yuragi_store yuragi_store;

// Takes one line of the log, which is gone when it returns. It may be called from any thread that calls the library or
// belongs to it, and may call the library.
typedef void (*yuragi_logger)(void *user, enum yuragi_level level, const char *line);

// Where the library's memory comes from.
typedef struct yuragi_allocator {
    // `size` bytes, at least 1, at a multiple of `alignment`, a power of two; NULL if there are none. What the library
    // can do without is then refused with YURAGI_MEMORY; where it cannot, it ends the process, as Rust does.
    void *(*allocate)(void *user, size_t size, size_t alignment);
    // Takes back what `allocate` gave for these numbers.
    void (*release)(void *user, void *memory, size_t size, size_t alignment);
    // Given to both.
    void *user;
} yuragi_allocator;

// One share of some work: `call` numbers it.
typedef void (*yuragi_work)(void *work, size_t call);

// The caller's own threads.
typedef struct yuragi_pool {
    // The most of them that work at the same time, the calling one included; at least 1.
    size_t threads;
    // Calls `share(work, call)` for each `call` below `calls`, on any threads and in any order, and returns when all
    // calls have returned. Calls that are not made cost time alone. It may be called from several threads at the same
    // time, where several plans run, and must not be left by longjmp or an exception.
    void (*run)(void *user, size_t calls, yuragi_work share, void *work);
    // Given to `run`, as long as anything made with this pool exists.
    void *user;
} yuragi_pool;

// How to draw.
typedef struct yuragi_sampling {
    // The sampler, as `yuragi generate --sampler` names it; NULL for "euler".
    const char *sampler;
    // Its steps, 1 to 10000.
    uint32_t steps;
    // How much the words count; 1 takes half the time.
    float guidance;
} yuragi_sampling;

// What to draw.
typedef struct yuragi_request {
    // What the picture shows. It may stress words and change on the way: "a (red:1.3) cat", "[a cat:a dog:0.5]".
    const char *prompt;
    // What guidance leads away from; NULL for nothing.
    const char *negative;
    // The picture's noise: equal requests with equal seeds give equal pictures, whatever stands beside them.
    uint64_t seed;
} yuragi_request;

// A term of two variables, or of one.
typedef struct yuragi_term {
    // One variable, counted from 0.
    uint32_t first;
    // Another one; the same one only where that is said to be legal.
    uint32_t second;
    // J or Q.
    double weight;
} yuragi_term;

// How to anneal.
typedef struct yuragi_annealing_settings {
    // Passes over all variables, at least 1.
    uint32_t sweeps;
    // Configurations that are annealed beside each other, at least 1. Multiples of 256 are fastest.
    uint32_t reads;
    // Equal seeds give equal configurations on every machine, for any number of threads.
    uint64_t seed;
    // The inverse temperatures of the first and the last sweep, between which they grow by equal factors; both 0 for
    // those that fit the problem.
    double first_beta;
    // See above.
    double last_beta;
    // A yuragi_chain.
    int32_t chain;
    // The threads that the library starts for sweeps; 0 and 1 for none: all is done by the calling thread.
    uint32_t threads;
} yuragi_annealing_settings;

// Told after each sweep how many are done; what is not 0 cancels.
typedef int32_t (*yuragi_progress)(void *user, uint32_t done, uint32_t total);

// The number of a value in its graph; YURAGI_NO_TENSOR if there is none.
typedef uint32_t yuragi_tensor;

// The bytes that a plan needs, known before anything runs.
typedef struct yuragi_memory {
    // What each state has for itself.
    size_t arena;
    // Constants.
    size_t constants;
    // Parameters, which plans of one store share.
    size_t parameters;
} yuragi_memory;

// Elements that a run reads: float or int32_t, as the graph declares.
typedef struct yuragi_input {
    // The first one.
    const void *elements;
    // How many there are: exactly what the graph declares.
    size_t count;
} yuragi_input;

// Room for elements that a run writes: float, or int32_t.
typedef struct yuragi_output {
    // The first one.
    void *elements;
    // How many there is room for: exactly what the graph declares.
    size_t count;
} yuragi_output;

// What a function returns that could not add to a graph.
#define YURAGI_NO_TENSOR UINT32_MAX

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

// This library's version, such as "0.1.0".
const char *yuragi_version(void);

// The meaning of a status, in a few words; never NULL.
const char *yuragi_status_text(int32_t status);

// One line about the last call of this thread that failed: what, where, and what would be legal. Empty if none did.
// It lies there until the thread's next call that fails.
const char *yuragi_last_error(void);

// Sets what takes the library's lines; NULL for nobody, as in the beginning. A line that another thread says at the same
// time may still go to the former one. The library itself never prints.
enum yuragi_status yuragi_set_log(yuragi_logger logger,
                                  void *user);

// Has all of the library's memory come from these functions, which several threads may call at the same time. This must
// be the first call of the library: once it has memory of the system, as after a refusal, it answers YURAGI_ORDER. `user`
// is used as long as the library is loaded. Threads that the library starts take their stacks from the system.
enum yuragi_status yuragi_set_allocator(const struct yuragi_allocator *allocator);

// So many threads of the library's own, the calling one included; 0 for one for each of the processor's.
enum yuragi_status yuragi_cpu_new(size_t threads, struct yuragi_cpu **out);

// The caller's threads; the library starts none of its own.
enum yuragi_status yuragi_cpu_on(const struct yuragi_pool *pool, struct yuragi_cpu **out);

// The number of threads that work, the calling one included; 0 for NULL.
size_t yuragi_cpu_threads(const struct yuragi_cpu *cpu);

// Frees it; what was made with it stays.
void yuragi_cpu_free(struct yuragi_cpu *cpu);

// The model that is part of the library: emoji of 128x128 pixels, named in English or Japanese. YURAGI_UNSUPPORTED where
// the library was built without it.
enum yuragi_status yuragi_model_builtin(struct yuragi_model **out);

// A model from a file in memory, which is not needed any more afterwards.
enum yuragi_status yuragi_model_from_bytes(const uint8_t *bytes, size_t length, struct yuragi_model **out);

// A model from a file that `yuragi train` or `yuragi convert` wrote.
enum yuragi_status yuragi_model_open(const char *path, struct yuragi_model **out);

// The width and the height of its pictures in pixels; 0 for NULL.
size_t yuragi_model_size(const struct yuragi_model *model);

// Frees it; what was made with it stays.
void yuragi_model_free(struct yuragi_model *model);

// Compiles a model for batches of up to `pictures`.
enum yuragi_status yuragi_generator_new(const struct yuragi_cpu *cpu,
                                        const struct yuragi_model *model,
                                        size_t pictures,
                                        struct yuragi_generator **out);

// The bytes that each of its jobs needs, beside some thousands for its prompts; 0 for NULL.
size_t yuragi_generator_memory(const struct yuragi_generator *generator);

// Writes the width and the height of its pictures in pixels, where these are not NULL.
enum yuragi_status yuragi_generator_size(const struct yuragi_generator *generator,
                                         size_t *width,
                                         size_t *height);

// Frees it; its jobs stay.
void yuragi_generator_free(struct yuragi_generator *generator);

// What the model draws best with: the values of `yuragi generate` without flags.
struct yuragi_sampling yuragi_sampling_default(void);

// Begins `count` pictures, at most as many as the generator was made for; `how` may be NULL. Nothing is computed yet.
enum yuragi_status yuragi_job_start(const struct yuragi_generator *generator,
                                    const struct yuragi_request *what,
                                    size_t count,
                                    const struct yuragi_sampling *how,
                                    struct yuragi_job **out);

// Begins other pictures in the memory of a job, whatever has become of it; `how` may be NULL. If it is refused, the job
// goes on as it was.
enum yuragi_status yuragi_job_restart(const struct yuragi_job *job,
                                      const struct yuragi_request *what,
                                      size_t count,
                                      const struct yuragi_sampling *how);

// Goes on for at most `launches` steps of the machine, of some tenths of a millisecond each; SIZE_MAX runs to the end.
// Writes how many are done and how many there are, where these are not NULL: a picture is there when they are equal.
// What was done when it is cancelled stays done. Takes no memory, unless a prompt weighs words or changes on the way.
enum yuragi_status yuragi_job_advance(const struct yuragi_job *job,
                                      size_t launches,
                                      size_t *done,
                                      size_t *total);

// Has a job that another thread advances end after the launch at hand, with YURAGI_CANCELLED, which it then answers
// until it is restarted; one that has ended stays ended.
enum yuragi_status yuragi_job_cancel(const struct yuragi_job *job);

// Writes a picture of a job that has ended, row by row, in `pixels` as yuragi_pixels says, into `capacity` bytes.
// YURAGI_ORDER before the end.
enum yuragi_status yuragi_job_picture(const struct yuragi_job *job,
                                      size_t request,
                                      int32_t pixels,
                                      uint8_t *bytes,
                                      size_t capacity);

// Writes a guess of a picture that is being drawn, smaller than it will be, and its width and height where these are not
// NULL. YURAGI_ORDER before the first step.
enum yuragi_status yuragi_job_preview(const struct yuragi_job *job,
                                      size_t request,
                                      int32_t pixels,
                                      uint8_t *bytes,
                                      size_t capacity,
                                      size_t *width,
                                      size_t *height);

// Frees it; a job under way is cancelled.
void yuragi_job_free(struct yuragi_job *job);

// So many spins s = -1 or +1 with E = - sum of J s s over pairs - sum of h s. Equal spins have the lower energy where J is
// positive. Pairs that come twice are added up; there is a field h for each spin, or NULL for none.
enum yuragi_status yuragi_problem_spins(size_t spins,
                                        const struct yuragi_term *couplings,
                                        size_t count,
                                        const double *fields,
                                        struct yuragi_problem **out);

// So many bits b = 0 or 1 with E = constant + sum of Q b b over the terms (a QUBO): a term of the same bit twice is linear,
// since b b = b. Pairs that come twice are added up.
enum yuragi_status yuragi_problem_bits(size_t bits,
                                       const struct yuragi_term *terms,
                                       size_t count,
                                       double constant,
                                       struct yuragi_problem **out);

// So many variables of `states` values, 2 to 255, with E = - sum of J over the pairs whose values are equal - sum of h (the
// Potts model). Pairs that come twice are added up; the field of variable k at value s stands at k states + s, or NULL
// for none.
enum yuragi_status yuragi_problem_potts(size_t variables,
                                        uint32_t states,
                                        const struct yuragi_term *couplings,
                                        size_t count,
                                        const double *fields,
                                        struct yuragi_problem **out);

// A problem from a text of `length` bytes in any format that `yuragi anneal` reads: JSON (dimod's, bqpjson, J or Q),
// coordinate text, qbsolv's, rudy's and the Gset's graphs, Biq Mac's, OR-Library's, a square matrix. Its variables are
// spins or bits, as the text has them. What was taken for granted in reading it is logged.
enum yuragi_status yuragi_problem_parse(const uint8_t *bytes,
                                        size_t length,
                                        struct yuragi_problem **out);

// A problem from a file, packed by gzip or not; dimod's binary .bqm, too. NumPy's arrays are not read here.
enum yuragi_status yuragi_problem_open(const char *path, struct yuragi_problem **out);

// The number of its variables; 0 for NULL.
size_t yuragi_problem_length(const struct yuragi_problem *problem);

// Writes what its variables are, and how many values each can have, where these are not NULL.
enum yuragi_status yuragi_problem_kind(const struct yuragi_problem *problem,
                                       enum yuragi_variables *variables,
                                       uint32_t *states);

// Writes the energy of a configuration: as many values as there are variables.
enum yuragi_status yuragi_problem_energy(const struct yuragi_problem *problem,
                                         const int16_t *configuration,
                                         size_t count,
                                         double *energy);

// Writes what an energy means to the file that a problem came from, such as the size of a cut, and 1 where that is to be
// large or 0, where these are not NULL.
enum yuragi_status yuragi_problem_objective(const struct yuragi_problem *problem,
                                            double energy,
                                            double *value,
                                            int32_t *maximize);

// Frees it; annealings that work on it stay.
void yuragi_problem_free(struct yuragi_problem *problem);

// 1000 sweeps of 16 reads by the calling thread, at temperatures that fit the problem.
struct yuragi_annealing_settings yuragi_annealing_default(void);

// Begins to anneal a problem, at random configurations; `how` may be NULL.
enum yuragi_status yuragi_annealing_start(const struct yuragi_problem *problem,
                                          const struct yuragi_annealing_settings *how,
                                          struct yuragi_annealing **out);

// Goes on for at most so many sweeps of all reads. Writes how many are done and how many there are, where these are not
// NULL. With several threads, sweeps that are too short to be worth them are gathered, and made by a later call.
enum yuragi_status yuragi_annealing_advance(const struct yuragi_annealing *annealing,
                                            uint32_t sweeps,
                                            uint32_t *done,
                                            uint32_t *total);

// Goes on to the end, or until `progress`, which may be NULL, answers with what is not 0: then YURAGI_CANCELLED. The
// configurations can be read in either case, and the rest be done by another call. `progress` must not work on this
// annealing.
enum yuragi_status yuragi_annealing_run(const struct yuragi_annealing *annealing,
                                        yuragi_progress progress,
                                        void *user);

// Writes the energy of every read as it stands.
enum yuragi_status yuragi_annealing_energies(const struct yuragi_annealing *annealing,
                                             double *energies,
                                             size_t capacity);

// Writes the configuration of one read as it stands: a value for each variable, of the kind that yuragi_problem_kind says.
enum yuragi_status yuragi_annealing_values(const struct yuragi_annealing *annealing,
                                           uint32_t read,
                                           int16_t *configuration,
                                           size_t capacity);

// Writes the read of least energy as it stands, and that energy, where these are not NULL.
enum yuragi_status yuragi_annealing_best(const struct yuragi_annealing *annealing,
                                         uint32_t *read,
                                         double *least);

// Frees it; NULL is nothing.
void yuragi_annealing_free(struct yuragi_annealing *annealing);

// An empty graph.
enum yuragi_status yuragi_graph_new(struct yuragi_graph **out);

// An input of a run, of `rank` extents. Its name is its own.
yuragi_tensor yuragi_graph_input(const struct yuragi_graph *graph,
                                 const char *name,
                                 const size_t *extents,
                                 size_t rank,
                                 int32_t dtype);

// A named tensor of the store, such as weights.
yuragi_tensor yuragi_graph_parameter(const struct yuragi_graph *graph,
                                     const char *name,
                                     const size_t *extents,
                                     size_t rank,
                                     int32_t init,
                                     float value);

// A constant tensor, of `count` values in row-major order.
yuragi_tensor yuragi_graph_constant(const struct yuragi_graph *graph,
                                    const size_t *extents,
                                    size_t rank,
                                    const float *values,
                                    size_t count);

// `x` [.., inputs] times the weights NAME.weight [inputs, `outputs`] plus NAME.bias [outputs], both uniform in plus or
// minus 1/sqrt(inputs) in the beginning.
yuragi_tensor yuragi_graph_linear(const struct yuragi_graph *graph,
                                  const char *name,
                                  yuragi_tensor x,
                                  size_t outputs);

// The same elements under another shape.
yuragi_tensor yuragi_graph_reshape(const struct yuragi_graph *graph,
                                   yuragi_tensor x,
                                   const size_t *extents,
                                   size_t rank);

// Has a run give a tensor's values, as output number 0, 1, .. in the order of these calls.
enum yuragi_status yuragi_graph_output(const struct yuragi_graph *graph,
                                       const char *name,
                                       yuragi_tensor tensor);

// Frees it; plans that were made of it stay.
void yuragi_graph_free(struct yuragi_graph *graph);

// A yuragi_unary of every element.
yuragi_tensor yuragi_graph_unary(const struct yuragi_graph *graph, int32_t function, yuragi_tensor x);

// A yuragi_binary of every pair of elements.
yuragi_tensor yuragi_graph_binary(const struct yuragi_graph *graph,
                                  int32_t function,
                                  yuragi_tensor a,
                                  yuragi_tensor b);

// x times `factor` plus `term`.
yuragi_tensor yuragi_graph_scale(const struct yuragi_graph *graph, yuragi_tensor x, float factor, float term);

// The product of matrices [.., M, K] and [.., K, N].
yuragi_tensor yuragi_graph_matmul(const struct yuragi_graph *graph, yuragi_tensor a, yuragi_tensor b);

// The last two axes exchanged.
yuragi_tensor yuragi_graph_transpose(const struct yuragi_graph *graph, yuragi_tensor x);

// Softmax along the last axis.
yuragi_tensor yuragi_graph_softmax(const struct yuragi_graph *graph, yuragi_tensor x);

// A yuragi_fold along axes, which count from the end when negative and stay with extent 1; along all of them, to a
// single number, where `axes` is NULL.
yuragi_tensor yuragi_graph_fold(const struct yuragi_graph *graph,
                                int32_t fold,
                                yuragi_tensor x,
                                const ptrdiff_t *axes,
                                size_t count);

// A yuragi_loss of what a network says and what is true: a single number.
yuragi_tensor yuragi_graph_loss(const struct yuragi_graph *graph,
                                int32_t loss,
                                yuragi_tensor said,
                                yuragi_tensor truth);

// Writes the tensors of the gradient of `loss`, a single number, with respect to `count` tensors.
enum yuragi_status yuragi_graph_gradient(const struct yuragi_graph *graph,
                                         yuragi_tensor loss,
                                         const yuragi_tensor *with_respect_to,
                                         yuragi_tensor *gradient,
                                         size_t count);

// Makes every run of the graph one step of training: of all parameters declared so far, against the gradient of `loss`,
// by a yuragi_optimizer at the rate of yuragi_state_set_rate. Matrices shrink by `decay` times the rate at every step (0
// for none), and gradients longer than `clip` are scaled down to it (0 for none). Returns the gradient's norm. Once a
// graph.
yuragi_tensor yuragi_graph_train(const struct yuragi_graph *graph,
                                 yuragi_tensor loss,
                                 int32_t optimizer,
                                 float decay,
                                 float clip);

// Compiles a graph as it stands, with the outputs that were named; the graph may go on. Tells the first mistake that was
// made in building it.
enum yuragi_status yuragi_plan_new(const struct yuragi_cpu *cpu,
                                   const struct yuragi_graph *graph,
                                   struct yuragi_plan **out);

// Writes what a plan needs.
enum yuragi_status yuragi_plan_memory(const struct yuragi_plan *plan, struct yuragi_memory *memory);

// The number of inputs that a run takes; 0 for NULL.
size_t yuragi_plan_inputs(const struct yuragi_plan *plan);

// The number of outputs that a run gives; 0 for NULL.
size_t yuragi_plan_outputs(const struct yuragi_plan *plan);

// Writes the name of an input, which lives as long as the plan, and its number of elements, where these are not NULL.
enum yuragi_status yuragi_plan_input(const struct yuragi_plan *plan,
                                     size_t number,
                                     const char **name,
                                     size_t *length);

// The same of an output.
enum yuragi_status yuragi_plan_output(const struct yuragi_plan *plan,
                                      size_t number,
                                      const char **name,
                                      size_t *length);

// Frees it; its states stay.
void yuragi_plan_free(struct yuragi_plan *plan);

// A store without parameters.
enum yuragi_status yuragi_store_new(struct yuragi_store **out);

// Adds those parameters of a plan that are missing, each as it was declared to begin: drawn from the seed and its name
// alone.
enum yuragi_status yuragi_store_initialise(const struct yuragi_store *store,
                                           const struct yuragi_plan *plan,
                                           uint64_t seed);

// Writes a parameter's number of elements.
enum yuragi_status yuragi_store_length(const struct yuragi_store *store, const char *name, size_t *length);

// Copies a parameter out, row-major.
enum yuragi_status yuragi_store_read(const struct yuragi_store *store,
                                     const char *name,
                                     float *values,
                                     size_t capacity);

// Copies a parameter in: exactly its number of elements, all of them finite.
enum yuragi_status yuragi_store_write(const struct yuragi_store *store,
                                      const char *name,
                                      const float *values,
                                      size_t count);

// Frees it; states that run on it stay.
void yuragi_store_free(struct yuragi_store *store);

// The memory to run a plan on a store, which must have all of its parameters.
enum yuragi_status yuragi_state_new(const struct yuragi_plan *plan,
                                    const struct yuragi_store *store,
                                    struct yuragi_state **out);

// Sets the rate of the next steps of training, which is 0.001 before.
enum yuragi_status yuragi_state_set_rate(const struct yuragi_state *state, float rate);

// Runs a plan: inputs and outputs are in the order of their declaration, and no output overlaps anything else. A step of
// training changes the store when all is computed. Takes no memory.
enum yuragi_status yuragi_state_run(const struct yuragi_state *state,
                                    const struct yuragi_input *inputs,
                                    size_t input_count,
                                    const struct yuragi_output *outputs,
                                    size_t output_count);

// Frees it; NULL is nothing.
void yuragi_state_free(struct yuragi_state *state);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* YURAGI_H */
