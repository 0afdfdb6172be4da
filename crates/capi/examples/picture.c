/* Draws a picture from words and writes it as PPM: ./picture "a red cat" cat.ppm [MODEL] */
#include <stdio.h>
#include <stdlib.h>
#include <yuragi.h>

static void try(yuragi_status status, const char *what)
{
    if (status != YURAGI_OK) {
        fprintf(stderr, "%s: %s (%s)\n", what, yuragi_last_error(), yuragi_status_text(status));
        exit(1);
    }
}

static void say(void *user, yuragi_level level, const char *line)
{
    (void)user;
    fprintf(stderr, "%s: %s\n", level == YURAGI_INFO ? "note" : "warning", line);
}

int main(int count, char **words)
{
    const char *prompt = count > 1 ? words[1] : "a red cat";
    const char *path = count > 2 ? words[2] : "picture.ppm";
    yuragi_cpu *cpu;
    yuragi_model *model;
    yuragi_generator *generator;
    yuragi_job *job;

    try(yuragi_set_log(say, NULL), "the log");
    try(yuragi_cpu_new(0, &cpu), "the processor");
    try(count > 3 ? yuragi_model_open(words[3], &model) : yuragi_model_builtin(&model), "the model");
    try(yuragi_generator_new(cpu, model, 1, &generator), "the generator");
    printf("%zu bytes while a picture is under way\n", yuragi_generator_memory(generator));

    yuragi_request request = {prompt, NULL, 7};
    yuragi_sampling how = yuragi_sampling_default();
    how.steps = 4;
    try(yuragi_job_start(generator, &request, 1, &how, &job), "the start");
    size_t done, total;
    do {
        /* Here a game shows a frame. */
        try(yuragi_job_advance(job, 50, &done, &total), "drawing");
    } while (done < total);

    size_t width, height;
    try(yuragi_generator_size(generator, &width, &height), "the size");
    unsigned char *pixels = malloc(width * height * 3);
    FILE *file = fopen(path, "wb");
    if (pixels == NULL || file == NULL) {
        perror(path);
        return 1;
    }
    try(yuragi_job_picture(job, 0, YURAGI_RGB8, pixels, width * height * 3), "the picture");
    fprintf(file, "P6\n%zu %zu\n255\n", width, height);
    int whole = fwrite(pixels, 3, width * height, file) == width * height;
    if (fclose(file) != 0 || !whole) {
        perror(path);
        return 1;
    }
    printf("%s: %zux%zu pixels after %zu launches\n", path, width, height, total);

    free(pixels);
    yuragi_job_free(job);
    yuragi_generator_free(generator);
    yuragi_model_free(model);
    yuragi_cpu_free(cpu);
    return 0;
}
