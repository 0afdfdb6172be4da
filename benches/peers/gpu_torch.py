"""The plans of `crates/models` and the operations of Stable Diffusion's networks in PyTorch on a GPU.

    python gpu_torch.py --seconds 60        prints a JSON line for each, after one that says what computes

The program `gpu` starts it and puts its own times beside these. Each counts with its fastest way: eager, or captured in a
CUDA graph and replayed; channels first or last. `torch.compile` takes longer than a visit. Without a GPU `--device cpu`
tries the script.
"""

import argparse
import contextlib
import json
import time
from pathlib import Path

try:
    import torch
    from torch.nn import functional as F
except ImportError:
    torch = None

REPLAYED, EAGER = "replayed graph", "eager"


def say(**what):
    print(json.dumps(what), flush=True)


class Clock:
    """Milliseconds of what a function does on the device."""

    def __init__(self, device, small):
        self.cuda, self.runs, self.warm = device == "cuda", 1 if small else 20, 1 if small else 3

    def of(self, run):
        for _ in range(self.warm):
            run()
        if not self.cuda:
            start = time.perf_counter()
            for _ in range(self.runs):
                run()
            return 1e3 * (time.perf_counter() - start) / self.runs
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        torch.cuda.synchronize()
        begin.record()
        for _ in range(self.runs):
            run()
        end.record()
        torch.cuda.synchronize()
        return begin.elapsed_time(end) / self.runs

    def best(self, run, name=""):
        """The fastest of eager and replayed, with its name."""
        found = {f"{name}{EAGER}": self.of(run)}
        if self.cuda:
            with contextlib.suppress(RuntimeError):
                side, graph = torch.cuda.Stream(), torch.cuda.CUDAGraph()
                side.wait_stream(torch.cuda.current_stream())
                with torch.cuda.stream(side):
                    run()
                torch.cuda.current_stream().wait_stream(side)
                with torch.cuda.graph(graph):
                    run()
                found[f"{name}{REPLAYED}"] = self.of(graph.replay)
        return min((ms, way) for way, ms in found.items())


def plan(work, precision, clock, device):
    """The fastest way of a plan."""
    import latent_diffusion_torch as peer

    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = precision == "tf32"
    half = contextlib.nullcontext()
    if precision == "bf16":
        half = torch.autocast(device, torch.bfloat16)
    found = []
    for last in [False, True]:
        torch.manual_seed(0)
        network, trainer, run = peer.WORK[work](lambda f: f)
        if last:
            network.to(memory_format=torch.channels_last)
        if trainer and device == "cuda":
            for group in trainer.optimizer.param_groups:
                group["capturable"] = True
        constant = {}

        def given(name, shape):
            if not name.startswith("random.") and name in constant:
                return constant[name]
            if name == "caption":
                value = F.pad(torch.randint(3, 3000, (shape[0], 10)), (0, shape[1] - 10))
            elif name == "mask":
                value = torch.where(torch.arange(shape[1]) < 10, 0.0, -1e9).expand(shape).contiguous()
            else:
                value = torch.rand(shape) if name in ("t", "random.2") else torch.randn(shape)
            if len(shape) == 4:
                layout = torch.channels_last if last else torch.contiguous_format
                value = value.permute(0, 3, 1, 2).contiguous(memory_format=layout)
            return constant.setdefault(name, value) if not name.startswith("random.") else value

        with contextlib.nullcontext() if trainer else torch.inference_mode(), half:
            found.append(clock.best(lambda: run(given), "channels last, " if last else ""))
    return min(found)


def shape(kind, extents, clock, dtype):
    """The fastest way of an operation, or nothing for a kind that is no single one."""
    e = extents
    new = lambda *sizes: torch.randn(sizes, dtype=dtype)
    image = lambda n, c, h, w: new(n, c, h, w).contiguous(memory_format=torch.channels_last)
    if kind == "conv":
        x, w = image(e["n"], e["ci"], e["h"], e["w"]), image(e["co"], e["ci"], e["k"], e["k"])
        run = lambda: F.conv2d(x, w, stride=e["s"], padding=e["p"])
    elif kind == "linear":
        x, w = new(e["m"], e["k"]), new(e["n"], e["k"])
        run = lambda: F.linear(x, w)
    elif kind == "sdpa":
        q, k, v = (new(e["b"], e["heads"], e[length], e["d"]) for length in ("lq", "lk", "lk"))
        run = lambda: F.scaled_dot_product_attention(q, k, v)
    elif kind in ("gn", "gn_silu"):
        x, gain, bias = image(e["n"], e["c"], e["hw"], 1), new(e["c"]), new(e["c"])
        act = F.silu if kind == "gn_silu" else lambda x: x
        run = lambda: act(F.group_norm(x, e["g"], gain, bias))
    elif kind == "ln":
        x, gain, bias = new(e["rows"], e["c"]), new(e["c"]), new(e["c"])
        run = lambda: F.layer_norm(x, [e["c"]], gain, bias)
    elif kind == "geglu":
        x = new(e["rows"], 2 * e["c"])

        def run():
            value, gate = x.chunk(2, -1)
            return value * F.gelu(gate)
    elif kind == "silu":
        x = new(e["numel"])
        run = lambda: F.silu(x)
    elif kind == "add":
        x, y = new(e["numel"]), new(e["numel"])
        run = lambda: x + y
    elif kind == "cat":
        x, y = (new(e["n"], e["hw"], e[c]) for c in ("c1", "c2"))
        run = lambda: torch.cat([x, y], -1)
    else:
        return None
    with torch.inference_mode():
        return clock.best(run)


def rows():
    places = [Path(__file__).with_name("shapes.tsv"), Path(__file__).parents[1] / "src/gpu/shapes.tsv"]
    table = next(place for place in places if place.exists())
    for line in table.read_text().splitlines():
        if not line.startswith("#"):
            _, kind, text, *_ = line.split("\t")
            yield kind, text


def main():
    parser = argparse.ArgumentParser(description="PyTorch's times of what the program `gpu` times.")
    parser.add_argument("--seconds", type=float, default=60.0, help="in all")
    parser.add_argument("--small", action="store_true", help="one plan and one shape of each kind, once")
    parser.add_argument("--device", default="cuda", choices=["cuda", "cpu"])
    arguments = parser.parse_args()
    end = time.monotonic() + arguments.seconds
    if torch is None:
        return say(absent="this Python has no PyTorch")
    if arguments.device == "cuda" and not torch.cuda.is_available():
        return say(absent=f"PyTorch {torch.__version__} sees no GPU")
    say(torch=torch.__version__, device=torch.cuda.get_device_name() if arguments.device == "cuda" else "processor")
    torch.set_default_device(arguments.device)
    clock = Clock(arguments.device, arguments.small)
    works = ["decode"] if arguments.small else ["autoencoder-training", "diffusion-training", "denoise", "decode"]
    for work in works:
        for precision in ["f32", "tf32", "bf16"]:
            if time.monotonic() < end:
                ms, variant = plan(work, precision, clock, arguments.device)
                say(what=work, precision=precision, ms=ms, variant=variant)
    seen = set()
    for kind, text in rows():
        if arguments.small and kind in seen or time.monotonic() >= end:
            continue
        seen.add(kind)
        words = (word.split("=") for word in text.split(" "))
        extents = {name: int(value) for name, value in words if value.isdigit()}
        if arguments.small:
            extents = {name: min(value, 8 if name in "hw" else 64) for name, value in extents.items()}
        small = " ".join(f"{name}={value}" for name, value in extents.items())
        found = shape(kind, extents, clock, torch.float16)
        if found:
            say(what=f"{kind} {small if arguments.small else text}", precision="f16", ms=found[0], variant=found[1])


if __name__ == "__main__":
    main()
