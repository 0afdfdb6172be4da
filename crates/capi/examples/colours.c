/* Colours the vertices of a Petersen graph so that neighbours differ (a Potts model), and finds the most of them of which
 * no two are neighbours (a QUBO). */
#include <stdio.h>
#include <stdlib.h>
#include <yuragi.h>

enum { VERTICES = 10, EDGES = 15 };

static void try(yuragi_status status, const char *what)
{
    if (status != YURAGI_OK) {
        fprintf(stderr, "%s: %s (%s)\n", what, yuragi_last_error(), yuragi_status_text(status));
        exit(1);
    }
}

/* Anneals, frees the problem, and shows the best configuration; gives its energy. */
static double solve(yuragi_problem *problem, const char *what)
{
    yuragi_annealing *annealing;
    uint32_t read;
    double energy;
    int16_t values[VERTICES];
    try(yuragi_annealing_start(problem, NULL, &annealing), "the start");
    try(yuragi_annealing_run(annealing, NULL, NULL), "annealing");
    try(yuragi_annealing_best(annealing, &read, &energy), "the best read");
    try(yuragi_annealing_values(annealing, read, values, VERTICES), "its values");
    printf("%s: energy %g at", what, energy);
    for (int k = 0; k < VERTICES; k++)
        printf(" %d", values[k]);
    printf("\n");
    yuragi_annealing_free(annealing);
    yuragi_problem_free(problem);
    return energy;
}

int main(void)
{
    yuragi_term differ[EDGES], apart[EDGES + VERTICES];
    for (uint32_t k = 0; k < 5; k++) {
        const uint32_t edges[3][2] = {{k, (k + 1) % 5}, {k, k + 5}, {k + 5, (k + 2) % 5 + 5}};
        for (uint32_t e = 0; e < 3; e++) {
            differ[3 * k + e] = (yuragi_term){edges[e][0], edges[e][1], -1.0};
            apart[3 * k + e] = (yuragi_term){edges[e][0], edges[e][1], 2.0};
        }
    }
    for (uint32_t k = 0; k < VERTICES; k++)
        apart[EDGES + k] = (yuragi_term){k, k, -1.0};
    yuragi_problem *problem;
    try(yuragi_problem_potts(VERTICES, 3, differ, EDGES, NULL, &problem), "the colouring");
    double clashes = solve(problem, "three colours");
    try(yuragi_problem_bits(VERTICES, apart, EDGES + VERTICES, 0.0, &problem), "the set");
    double size = -solve(problem, "an independent set");
    return clashes == 0.0 && size == 4.0 ? 0 : 1;
}
