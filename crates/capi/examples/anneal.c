/* Anneals a problem's file, or a square of magnets: halfway, then to the end. */
#include <math.h>
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

/* Shows every tenth part of the way; cancels where `user` says. */
static int32_t progress(void *user, uint32_t done, uint32_t total)
{
    if (done % (total / 10) == 0)
        printf("%u of %u sweeps\n", done, total);
    return done >= *(const uint32_t *)user;
}

int main(int count, char **words)
{
    enum { SIDE = 10, SPINS = SIDE * SIDE };
    yuragi_problem *problem;
    if (count > 1) {
        try(yuragi_problem_open(words[1], &problem), "the problem");
    } else {
        yuragi_term bonds[2 * SPINS];
        for (uint32_t k = 0; k < SPINS; k++) {
            bonds[2 * k] = (yuragi_term){k, k / SIDE * SIDE + (k + 1) % SIDE, 1.0};
            bonds[2 * k + 1] = (yuragi_term){k, (k + SIDE) % SPINS, 1.0};
        }
        try(yuragi_problem_spins(SPINS, bonds, 2 * SPINS, NULL, &problem), "the problem");
    }

    yuragi_annealing_settings how = yuragi_annealing_default();
    how.sweeps = 500;
    how.reads = 64;
    how.seed = 1;
    yuragi_annealing *annealing;
    try(yuragi_annealing_start(problem, &how, &annealing), "the start");

    uint32_t enough = 250;
    yuragi_status status = yuragi_annealing_run(annealing, progress, &enough);
    printf("half of the way: %s\n", yuragi_status_text(status));
    enough = UINT32_MAX;
    try(yuragi_annealing_run(annealing, progress, &enough), "annealing");

    size_t length = yuragi_problem_length(problem);
    int16_t *values = malloc(length * sizeof *values);
    uint32_t read;
    double energy, again;
    try(yuragi_annealing_best(annealing, &read, &energy), "the best read");
    if (values == NULL)
        return 1;
    try(yuragi_annealing_values(annealing, read, values, length), "its values");
    try(yuragi_problem_energy(problem, values, length, &again), "its energy");
    printf("energy %.9g of read %u\n", energy, read);
    if (fabs(energy - again) > 1e-9 * fabs(energy)) {
        fprintf(stderr, "but its values have the energy %.17g\n", again);
        return 1;
    }

    free(values);
    yuragi_annealing_free(annealing);
    yuragi_problem_free(problem);
    return 0;
}
