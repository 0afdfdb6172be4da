#!/usr/bin/env python3
"""Writes schedulers.txt: what the schedulers of diffusers 0.42.1 make of a fixed function in place of a network.

    python tests/golden/schedulers.py > tests/golden/schedulers.txt

needs diffusers 0.42.1, torch, scipy. A case is a line

    CLASS STEPS SKIPPED PRECISION {"key": value, ..}

where the keys are the configuration's, with `eta` and those of `s_churn` for what `step` is told, followed by a line for each evaluation: the
timestep, and the two values of the state after it, as bits of single precision. PRECISION is `single` for what the
scheduler computes. Where its own rounding (of differences of nearly equal numbers, and of states that shrink) exceeds
4e-6 of the state (the larger of those before and after the step), it is `double`: what the same code computes in double precision from its own noise levels, which are of
single precision still.
"""

import importlib
import json
import math
import struct
import sys
import types
import warnings

import diffusers
import numpy as np
import torch

sys.modules.setdefault("torchsde", types.ModuleType("torchsde"))  # only its noise is used, which is given here

warnings.filterwarnings("ignore")
diffusers.utils.logging.set_verbosity_error()
assert diffusers.__version__ == "0.42.1", diffusers.__version__

MODULES = {
    "DDPMScheduler": "ddpm",
    "DDIMScheduler": "ddim",
    "PNDMScheduler": "pndm",
    "EulerDiscreteScheduler": "euler_discrete",
    "EulerAncestralDiscreteScheduler": "euler_ancestral_discrete",
    "HeunDiscreteScheduler": "heun_discrete",
    "LMSDiscreteScheduler": "lms_discrete",
    "KDPM2DiscreteScheduler": "k_dpm_2_discrete",
    "KDPM2AncestralDiscreteScheduler": "k_dpm_2_ancestral_discrete",
    "DPMSolverMultistepScheduler": "dpmsolver_multistep",
    "DPMSolverSinglestepScheduler": "dpmsolver_singlestep",
    "DPMSolverSDEScheduler": "dpmsolver_sde",
    "DEISMultistepScheduler": "deis_multistep",
    "UniPCMultistepScheduler": "unipc_multistep",
    "LCMScheduler": "lcm",
    "TCDScheduler": "tcd",
    "EDMEulerScheduler": "edm_euler",
    "EDMDPMSolverMultistepScheduler": "edm_dpmsolver_multistep",
    "FlowMatchEulerDiscreteScheduler": "flow_match_euler_discrete",
    "FlowMatchHeunDiscreteScheduler": "flow_match_heun_discrete",
    "FlowMatchLCMScheduler": "flow_match_lcm",
    "SASolverScheduler": "sasolver",
    "IPNDMScheduler": "ipndm",
    "DDPMParallelScheduler": "ddpm_parallel",
    "DDIMParallelScheduler": "ddim_parallel",
    "UnCLIPScheduler": "unclip",
    "CMStochasticIterativeScheduler": "consistency_models",
    "SCMScheduler": "scm",
}
SHAPE = (1, 2, 1, 1)


def noise(k):
    """The noise of evaluation k; of -1, that to begin from."""
    return torch.tensor([1.5 * math.sin(1.7 * (k + 1) + 2.3 * i) for i in range(2)], dtype=torch.float32).reshape(SHAPE)


def network(x, t):
    x, t = x.double().flatten(), float(np.float32(float(t)))
    out = [0.7 * v + 0.4 * math.sin(2.0 * v + 0.003 * t + 0.5 * i) for i, v in enumerate(x.tolist())]
    return torch.tensor(out, dtype=torch.float32).reshape(SHAPE)


def told(x, t):
    """The network's output with a variance behind it, for variance_type learned and learned_range."""
    t = float(np.float32(float(t)))
    out = [0.5 + 0.4 * math.sin(0.9 * v + 0.002 * t + 0.3 * i) for i, v in enumerate(x.double().flatten().tolist())]
    return torch.cat([network(x, t), torch.tensor(out, dtype=torch.float32).reshape(SHAPE)], dim=1)


class Brownian:
    """Increments over [sigma, next] over their deviation, of a motion made of the evaluations' noise."""

    def __init__(self, run):
        self.run, self.middle = run, None

    def __call__(self, sigma, following):
        k = self.run.k
        if self.middle is None:
            self.middle = following
            return noise(k)
        part = (sigma - self.middle) / (sigma - following)
        self.middle = None
        return part.sqrt() * noise(k - 1) + (1 - part).sqrt() * noise(k)


class Run:
    k = 0


class Double:
    """torch, with double precision where single is asked for."""

    float32 = torch.float64

    def __getattr__(self, name):
        return getattr(torch, name)

    @staticmethod
    def from_numpy(array):
        return torch.from_numpy(array.astype(np.float64) if array.dtype == np.float32 else array)


def bits(value):
    return struct.pack(">f", float(value)).hex()


def run(name, config, steps, skipped, double):
    module = importlib.import_module("diffusers.schedulers.scheduling_" + MODULES[name])
    this = Run()
    module.torch = torch
    of = (lambda x: x.double()) if double else (lambda x: x)
    module.randn_tensor = lambda *a, **k: of(noise(this.k))
    told_to_step = ("eta", "s_churn", "s_tmin", "s_tmax") + (("s_noise",) if "Euler" in name else ())
    extra = {key: config[key] for key in told_to_step if key in config}
    scheduler = getattr(module, name)(**{key: value for key, value in config.items() if key not in extra})
    if double:
        module.torch = Double()
    scheduler.set_timesteps(steps, **({"intermediate_timesteps": None} if name == "SCMScheduler" else {}))
    for key, value in list(vars(scheduler).items()):
        if isinstance(value, torch.Tensor) and value.dtype == torch.float32 and key != "timesteps":
            setattr(scheduler, key, of(value))
    order = getattr(scheduler, "order", 1)
    if hasattr(scheduler, "set_begin_index"):
        scheduler.set_begin_index(skipped * order)
    times = scheduler.timesteps[skipped * order :]
    x = of(noise(-1)) if skipped else of(noise(-1)) * getattr(scheduler, "init_noise_sigma", 1.0)
    if name == "DPMSolverSDEScheduler":
        scheduler.noise_sampler = Brownian(this)
    times = times[:-1] if name == "SCMScheduler" else times
    answer = told if config.get("variance_type", "").startswith("learned") else network
    states = []
    for this.k, t in enumerate(times):
        if name == "UnCLIPScheduler":
            extra["prev_timestep"] = times[this.k + 1] if this.k + 1 < len(times) else None
        out = of(answer(scheduler.scale_model_input(x, t) if hasattr(scheduler, "scale_model_input") else x, t))
        x = scheduler.step(out, t, x, return_dict=False, **extra)[0]
        states.append([float(t), *x.flatten().tolist()])
    module.torch = torch
    return states


def case(name, config, steps, skipped=0):
    single, double = (run(name, config, steps, skipped, precision) for precision in (False, True))
    size = [max(abs(v) for v in state[1:]) for state in double]
    size = [max(pair) for pair in zip(size, size[:1] + size)]
    miss = max(max(abs(a - b) for a, b in zip(s[1:], d[1:])) / n for s, d, n in zip(single, double, size))
    if not math.isfinite(miss):
        raise ValueError(f"not finite: {name} {config}")
    precision = "double" if miss > 4e-6 else "single"
    print(f"{name} {steps} {skipped} {precision} {json.dumps(config)}")
    for values in single if precision == "single" else double:
        print(" ".join(bits(v) for v in values))


SD = {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012}
SPACINGS = [{"timestep_spacing": "linspace"}, {"timestep_spacing": "leading", "steps_offset": 1}, {"timestep_spacing": "trailing"}]
SIGMAS = [{"use_karras_sigmas": True}, {"use_exponential_sigmas": True}, {"use_beta_sigmas": True}]
EPSILON, SAMPLE, VELOCITY = ({"prediction_type": p} for p in ("epsilon", "sample", "v_prediction"))
ALL_STEPS = (5, 20, 50)


def cases():
    for base, predictions, spacings in [
        (("DDPMScheduler", {"clip_sample": False}), (EPSILON, SAMPLE, VELOCITY), SPACINGS),
        (("DDIMScheduler", {"clip_sample": False}), (EPSILON, SAMPLE, VELOCITY), SPACINGS),
        (("PNDMScheduler", {"skip_prk_steps": True}), (EPSILON, VELOCITY), SPACINGS),
        (("EulerDiscreteScheduler", {}), (EPSILON, SAMPLE, VELOCITY), SPACINGS + SIGMAS),
        (("EulerAncestralDiscreteScheduler", {}), (EPSILON, VELOCITY), SPACINGS),
        (("HeunDiscreteScheduler", {}), (EPSILON, SAMPLE, VELOCITY), SPACINGS + SIGMAS),
        (("LMSDiscreteScheduler", {}), (EPSILON, SAMPLE, VELOCITY), SPACINGS + SIGMAS),
        (("KDPM2DiscreteScheduler", {}), (EPSILON, VELOCITY), SPACINGS + SIGMAS),
        (("KDPM2AncestralDiscreteScheduler", {}), (EPSILON, VELOCITY), SPACINGS + SIGMAS),
        (("DPMSolverSDEScheduler", {}), (EPSILON, VELOCITY), SPACINGS + SIGMAS),
        (("DPMSolverMultistepScheduler", {}), (EPSILON, SAMPLE, VELOCITY), SPACINGS + SIGMAS),
        (("DPMSolverSinglestepScheduler", {}), (EPSILON, SAMPLE, VELOCITY), [{}] + SIGMAS),
        (("DEISMultistepScheduler", {}), (EPSILON, SAMPLE, VELOCITY), SPACINGS + SIGMAS),
        (("UniPCMultistepScheduler", {}), (EPSILON, SAMPLE, VELOCITY), SPACINGS + SIGMAS),
        (("SASolverScheduler", {}), (EPSILON, SAMPLE, VELOCITY), SPACINGS + SIGMAS),
        (("LCMScheduler", {}), (EPSILON, SAMPLE, VELOCITY), [{}]),
        (("TCDScheduler", {"eta": 0.3}), (EPSILON, SAMPLE, VELOCITY), [{}]),
    ]:
        name, more = base
        for prediction in predictions:
            for spacing in spacings:
                for steps in ALL_STEPS:
                    yield name, {**SD, **more, **prediction, **spacing}, steps
    for steps in ALL_STEPS:
        yield from others(steps)
    for name, more in [
        ("DDIMScheduler", {"clip_sample": False, "steps_offset": 1, "set_alpha_to_one": False}),
        ("EulerDiscreteScheduler", {"timestep_spacing": "leading", "steps_offset": 1}),
        ("EulerAncestralDiscreteScheduler", {}),
        ("HeunDiscreteScheduler", {}),
        ("LMSDiscreteScheduler", {"use_karras_sigmas": True}),
        ("DPMSolverMultistepScheduler", {"use_karras_sigmas": True}),
        ("DPMSolverSinglestepScheduler", {"solver_order": 3}),
        ("UniPCMultistepScheduler", {"solver_order": 3}),
        ("DEISMultistepScheduler", {"solver_order": 3}),
        ("SASolverScheduler", {"predictor_order": 3, "corrector_order": 3}),
        ("PNDMScheduler", {"skip_prk_steps": True, "steps_offset": 1}),
    ]:
        for skipped in (1, 5, 12):
            yield name, {**SD, **more}, 20, skipped


def others(steps):
    zero = {"rescale_betas_zero_snr": True, "timestep_spacing": "trailing", **VELOCITY}
    for more in [
        {"eta": 0.5},
        {"eta": 1.0, "steps_offset": 1, "set_alpha_to_one": False},
        {"clip_sample": True, "clip_sample_range": 0.7},
        {"thresholding": True, "sample_max_value": 1.5, "dynamic_thresholding_ratio": 0.9},
        {"clip_sample": False, **zero},
        {"clip_sample": False, "beta_schedule": "squaredcos_cap_v2"},
        {"clip_sample": False, "beta_schedule": "linear", "beta_start": 1e-4, "beta_end": 0.02},
        {"clip_sample": False, "num_train_timesteps": 600},
    ]:
        yield "DDIMScheduler", {**SD, **more}, steps
    for more in [
        {"clip_sample": True},
        {"thresholding": True, "sample_max_value": 2.0},
        {"variance_type": "fixed_large", "clip_sample": False},
        {"variance_type": "fixed_small_log", "clip_sample": False},
        {"beta_schedule": "sigmoid", "clip_sample": False},
        {"clip_sample": False, **zero},
    ]:
        yield "DDPMScheduler", {**SD, **more}, steps
    yield "PNDMScheduler", {**SD, "set_alpha_to_one": True, "skip_prk_steps": True, "steps_offset": 1}, steps
    for more in [{}, {"steps_offset": 1}, VELOCITY]:
        yield "PNDMScheduler", {**SD, **more}, steps
    for more in [
        {"final_sigmas_type": "sigma_min"},
        {"interpolation_type": "log_linear"},
        zero,
        {"timestep_type": "continuous", "sigma_min": 0.002, "sigma_max": 700.0, "use_karras_sigmas": True, **VELOCITY},
    ]:
        yield "EulerDiscreteScheduler", {**SD, **more}, steps
    yield "EulerAncestralDiscreteScheduler", {**SD, **zero}, steps
    yield "HeunDiscreteScheduler", {**SD, "clip_sample": True}, steps
    if steps > 5:  # from 400 to 0
        yield "HeunDiscreteScheduler", {"beta_schedule": "exp"}, steps
    least = {"final_sigmas_type": "sigma_min"}
    for more in [
        {"solver_order": 1},
        {"solver_order": 3},
        {"solver_type": "heun"},
        {"algorithm_type": "sde-dpmsolver++"},
        {"algorithm_type": "sde-dpmsolver++", "solver_type": "heun", "use_karras_sigmas": True},
        {"algorithm_type": "sde-dpmsolver++", "solver_order": 3},
        {"algorithm_type": "sde-dpmsolver++", "solver_order": 1},
        {"algorithm_type": "dpmsolver", **least},
        {"algorithm_type": "dpmsolver", "solver_type": "heun", **least},
        {"algorithm_type": "dpmsolver", "solver_order": 3, **least},
        {"algorithm_type": "sde-dpmsolver", **least},
        {"algorithm_type": "sde-dpmsolver", "solver_type": "heun", **least},
        {"lower_order_final": False, **least},
        {"euler_at_final": True, **least},
        {"use_karras_sigmas": True, **least},
        {"use_lu_lambdas": True},
        {"lambda_min_clipped": -2.0},
        {"thresholding": True, "sample_max_value": 1.5},
        {"thresholding": True, "sample_max_value": 1.5, "algorithm_type": "dpmsolver", **least},
        {"beta_schedule": "squaredcos_cap_v2", "use_karras_sigmas": True},
        {"use_flow_sigmas": True, "prediction_type": "flow_prediction", "flow_shift": 3.0},
        zero,
    ]:
        yield "DPMSolverMultistepScheduler", {**SD, **more}, steps
    for more in [
        {"solver_order": 1},
        {"solver_order": 3},
        {"solver_order": 3, "solver_type": "heun"},
        {"solver_type": "heun"},
        {"solver_order": 3, "lower_order_final": False, **least},
        {"solver_order": 3, "algorithm_type": "dpmsolver", **least},
        {"solver_order": 3, "algorithm_type": "dpmsolver", "solver_type": "heun", **least},
        {"algorithm_type": "dpmsolver", **least},
        {"algorithm_type": "sde-dpmsolver++"},
        {"algorithm_type": "sde-dpmsolver++", "solver_order": 3},
        {"use_flow_sigmas": True, "prediction_type": "flow_prediction", "flow_shift": 3.0},
    ]:
        yield "DPMSolverSinglestepScheduler", {**SD, **more}, steps
    if steps == 5:  # beyond, this one has no bounds
        more = {"algorithm_type": "sde-dpmsolver++", "solver_order": 3, "solver_type": "heun"}
        yield "DPMSolverSinglestepScheduler", {**SD, **more}, steps
    for more in [
        {"solver_order": 1},
        {"solver_order": 3},
        {"lower_order_final": False},
        {"thresholding": True, "sample_max_value": 1.5},
        {"use_flow_sigmas": True, "prediction_type": "flow_prediction", "flow_shift": 3.0},
    ]:
        yield "DEISMultistepScheduler", {**SD, **more}, steps
    for more in [
        {"solver_order": 1},
        {"solver_order": 3},
        {"solver_type": "bh1", **least},
        {"solver_type": "bh1", "solver_order": 3, **least},
        {"predict_x0": False, **least},
        {"predict_x0": False, "solver_order": 3, **least},
        {"lower_order_final": False, **least},
        {"thresholding": True, "sample_max_value": 1.5},
        {"use_flow_sigmas": True, "prediction_type": "flow_prediction", "flow_shift": 3.0},
        zero,
    ]:
        yield "UniPCMultistepScheduler", {**SD, **more}, steps
    for more in [
        {"predictor_order": 1, "corrector_order": 1},
        {"predictor_order": 3, "corrector_order": 3},
        {"predictor_order": 2, "corrector_order": 4},
        {"algorithm_type": "noise_prediction"},
        {"algorithm_type": "noise_prediction", "predictor_order": 3, "corrector_order": 3},
        {"lower_order_final": False},
        {"lambda_min_clipped": -2.0},
        {"thresholding": True, "sample_max_value": 1.5},
        {"use_flow_sigmas": True, "prediction_type": "flow_prediction", "flow_shift": 3.0},
    ]:
        yield "SASolverScheduler", {**SD, **more}, steps
    yield "IPNDMScheduler", {}, steps
    yield "DDPMParallelScheduler", {**SD, "clip_sample": False}, steps
    yield "DDIMParallelScheduler", {**SD, "clip_sample": False, "eta": 0.5}, steps
    yield "LCMScheduler", {**SD, "clip_sample": True, "timestep_scaling": 0.01}, steps
    yield "TCDScheduler", {**SD, "eta": 0.0}, steps
    yield "TCDScheduler", {**SD, "eta": 1.0}, steps
    for more in [{}, VELOCITY, {"sigma_schedule": "exponential"}, {"sigma_data": 1.0, "rho": 5.0, "sigma_max": 20.0}]:
        yield "EDMEulerScheduler", more, steps
        yield "EDMDPMSolverMultistepScheduler", more, steps
    for more in [{"solver_order": 3}, {"algorithm_type": "sde-dpmsolver++", **VELOCITY}]:
        yield "EDMDPMSolverMultistepScheduler", more, steps
    for more in [{}, {"shift": 3.0}, {"shift": 3.0, "stochastic_sampling": True}, {"use_karras_sigmas": True}, {"use_exponential_sigmas": True}, {"use_beta_sigmas": True}]:
        yield "FlowMatchEulerDiscreteScheduler", more, steps
    yield "FlowMatchHeunDiscreteScheduler", {"shift": 3.0}, steps
    for more in [{"shift": 3.0}, {"use_beta_sigmas": True}]:
        yield "FlowMatchLCMScheduler", more, steps
    churn = {"s_churn": 8.0, "s_tmin": 0.1, "s_tmax": 20.0, "s_noise": 1.003}
    for more in [{"s_churn": 3.0}, churn, {**churn, **VELOCITY}, {**churn, **SAMPLE, "use_karras_sigmas": True}]:
        yield "EulerDiscreteScheduler", {**SD, **more}, steps
    for more in [churn, {**churn, **VELOCITY}]:
        yield "EDMEulerScheduler", more, steps
    for variance in ("learned", "learned_range"):
        for more in [{"clip_sample": False}, {"clip_sample": False, **VELOCITY}, {"timestep_spacing": "trailing"}]:
            yield "DDPMScheduler", {**SD, "variance_type": variance, **more}, steps
    for more in [{}, {"clip_sample": False, **SAMPLE}, {"variance_type": "learned_range"}]:
        yield "UnCLIPScheduler", more, steps
    for more in [{"num_train_timesteps": 151}, {"num_train_timesteps": 50, "clip_denoised": False, "s_noise": 0.9}]:
        yield "CMStochasticIterativeScheduler", more, steps
    for more in [{}, {"sigma_data": 1.0}]:
        yield "SCMScheduler", more, steps


if __name__ == "__main__":
    failed = 0
    for each in cases():
        try:
            case(*each)
        except Exception as error:  # noqa: BLE001
            failed += 1
            print(f"left out: {each}: {type(error).__name__}: {error}", file=sys.stderr)
    print(f"{failed} left out", file=sys.stderr)
