"""Times PyTorch on the CPU with the U-Net and the autoencoder of `crates/models`.

Prints one JSON object. Each variant (memory layout, compiled or not) runs in a process of its own, so that its peak
memory is its own; the fastest variant of each phase is repeated under "best".

    python unet_torch.py                              # both models, both layouts
    python unet_torch.py --model unet --compile       # also torch.compile
    python unet_torch.py --config small.json          # {"unet": {...}, "autoencoder": {...}} over the defaults
"""

import argparse
import json
import math
import os
import platform
import resource
import statistics
import subprocess
import sys
import time

CONFIGS = {
    "unet": {
        "batch": 16,
        "size": 16,
        "channels": 4,
        "widths": [64, 128, 192],
        "blocks": 2,
        "attention": [False, True, True],
        "head_width": 32,
        "groups": 16,
        "context_width": 128,
        "context_length": 32,
    },
    "autoencoder": {
        "batch": 8,
        "size": 64,
        "channels": 3,
        "latent_channels": 4,
        "widths": [32, 64, 128],
        "blocks": 1,
        "groups": 16,
        "kl_weight": 1e-6,
    },
}
LAYOUTS = ["plain", "channels_last"]


# The networks. torch is imported in the measuring process only.


def build(model, config):
    import torch
    from torch import nn
    from torch.nn import functional as F

    def norm(channels):
        return nn.GroupNorm(config["groups"], channels)

    class Residual(nn.Module):
        def __init__(self, inner, outer, time_width=None):
            super().__init__()
            self.norm1, self.conv1 = norm(inner), nn.Conv2d(inner, outer, 3, padding=1)
            self.time = nn.Linear(time_width, outer) if time_width else None
            self.norm2, self.conv2 = norm(outer), nn.Conv2d(outer, outer, 3, padding=1)
            self.skip = nn.Conv2d(inner, outer, 1) if inner != outer else nn.Identity()

        def forward(self, x, time=None):
            h = self.conv1(F.silu(self.norm1(x)))
            if self.time is not None:
                h = h + self.time(F.silu(time))[:, :, None, None]
            return self.skip(x) + self.conv2(F.silu(self.norm2(h)))

    class Attention(nn.Module):
        def __init__(self, width, context_width=None):
            super().__init__()
            self.heads = width // config["head_width"]
            self.query = nn.Linear(width, width, bias=False)
            self.key = nn.Linear(context_width or width, width, bias=False)
            self.value = nn.Linear(context_width or width, width, bias=False)
            self.out = nn.Linear(width, width)

        def forward(self, x, context):
            split = lambda t: t.unflatten(-1, (self.heads, -1)).transpose(1, 2)
            y = F.scaled_dot_product_attention(split(self.query(x)), split(self.key(context)), split(self.value(context)))
            return self.out(y.transpose(1, 2).flatten(2))

    class Transformer(nn.Module):
        def __init__(self, width):
            super().__init__()
            self.norm = norm(width)
            self.norm1, self.itself = nn.LayerNorm(width), Attention(width)
            self.norm2, self.cross = nn.LayerNorm(width), Attention(width, config["context_width"])
            self.norm3, self.up, self.down = nn.LayerNorm(width), nn.Linear(width, 8 * width), nn.Linear(4 * width, width)

        def forward(self, x, context):
            size = x.shape[2:]
            h = self.norm(x).flatten(2).transpose(1, 2)
            n = self.norm1(h)
            h = h + self.itself(n, n)
            h = h + self.cross(self.norm2(h), context)
            value, gate = self.up(self.norm3(h)).chunk(2, dim=-1)
            h = h + self.down(value * F.gelu(gate))
            return x + h.transpose(1, 2).unflatten(2, size)

    class Upsample(nn.Module):
        def __init__(self, width):
            super().__init__()
            self.conv = nn.Conv2d(width, width, 3, padding=1)

        def forward(self, x):
            return self.conv(F.interpolate(x, scale_factor=2, mode="nearest"))

    def downsample(width):
        return nn.Conv2d(width, width, 3, stride=2, padding=1)

    class UNet(nn.Module):
        def __init__(self):
            super().__init__()
            widths, blocks = config["widths"], config["blocks"]
            base, time_width = widths[0], 4 * widths[0]
            self.frequencies = base // 2
            self.time = nn.Sequential(nn.Linear(base, time_width), nn.SiLU(), nn.Linear(time_width, time_width))
            self.first = nn.Conv2d(config["channels"], base, 3, padding=1)

            def stage(inner, outer, attends):
                return nn.ModuleList([Residual(inner, outer, time_width), Transformer(outer) if attends else None])

            self.down, self.up, skips, width = nn.ModuleList(), nn.ModuleList(), [base], base
            for level, (outer, attends) in enumerate(zip(widths, config["attention"])):
                for _ in range(blocks):
                    self.down.append(stage(width, outer, attends))
                    width = outer
                    skips.append(width)
                if level + 1 < len(widths):
                    self.down.append(downsample(width))
                    skips.append(width)
            self.middle = nn.ModuleList([stage(width, width, True), stage(width, width, False)])
            for level, (outer, attends) in reversed(list(enumerate(zip(widths, config["attention"])))):
                for _ in range(blocks + 1):
                    self.up.append(stage(width + skips.pop(), outer, attends))
                    width = outer
                if level > 0:
                    self.up.append(Upsample(width))
            self.norm, self.last = norm(width), nn.Conv2d(width, config["channels"], 3, padding=1)

        def forward(self, x, t, context):
            frequencies = torch.exp(-math.log(10_000) * torch.arange(self.frequencies) / self.frequencies)
            angles = t[:, None] * frequencies
            time = self.time(torch.cat([angles.cos(), angles.sin()], dim=-1))

            def run(stage, x):
                residual, transformer = stage
                x = residual(x, time)
                return x if transformer is None else transformer(x, context)

            x = self.first(x)
            skips = [x]
            for stage in self.down:
                x = run(stage, x) if isinstance(stage, nn.ModuleList) else stage(x)
                skips.append(x)
            for stage in self.middle:
                x = run(stage, x)
            for stage in self.up:
                x = run(stage, torch.cat([x, skips.pop()], dim=1)) if isinstance(stage, nn.ModuleList) else stage(x)
            return self.last(F.silu(self.norm(x)))

        def loss(self, noisy, t, context, noise):
            return F.mse_loss(self(noisy, t, context), noise)

    class Autoencoder(nn.Module):
        def __init__(self):
            super().__init__()
            widths, latent = config["widths"], config["latent_channels"]
            encoder, width = [nn.Conv2d(config["channels"], widths[0], 3, padding=1)], widths[0]
            for level, outer in enumerate(widths):
                for _ in range(config["blocks"]):
                    encoder.append(Residual(width, outer))
                    width = outer
                if level + 1 < len(widths):
                    encoder.append(downsample(width))
            self.encoder = nn.Sequential(*encoder, norm(width), nn.SiLU(), nn.Conv2d(width, 2 * latent, 3, padding=1))
            decoder = [nn.Conv2d(latent, width, 3, padding=1)]
            for level, outer in reversed(list(enumerate(widths))):
                for _ in range(config["blocks"] + 1):
                    decoder.append(Residual(width, outer))
                    width = outer
                if level > 0:
                    decoder.append(Upsample(width))
            self.decoder = nn.Sequential(
                *decoder, norm(width), nn.SiLU(), nn.Conv2d(width, config["channels"], 3, padding=1)
            )

        def forward(self, x):
            return self.decoder(self.encoder(x).chunk(2, dim=1)[0])

        def loss(self, x, noise):
            mean, log_variance = self.encoder(x).chunk(2, dim=1)
            divergence = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).mean()
            reconstruction = self.decoder(mean + (0.5 * log_variance).exp() * noise)
            return F.mse_loss(reconstruction, x) + config["kl_weight"] * divergence

    return {"unet": UNet, "autoencoder": Autoencoder}[model]()


def batch(model, config):
    """The inputs of a forward pass, and what a training step needs besides."""
    import torch

    n, size = config["batch"], config["size"]
    x = torch.randn(n, config["channels"], size, size)
    if model == "unet":
        context = torch.randn(n, config["context_length"], config["context_width"])
        return [x, torch.randint(0, 1000, (n,)).float(), context], [torch.randn_like(x)]
    latent = size >> (len(config["widths"]) - 1)
    return [x], [torch.randn(n, config["latent_channels"], latent, latent)]


# Measuring.


def peak_mib():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def timed(work, repeats, warmups):
    for _ in range(warmups):
        work()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(1e3 * (time.perf_counter() - start))
    return {"min_ms": round(min(times), 3), "median_ms": round(statistics.median(times), 3), "repeats": repeats}


def measure(model, config, arguments):
    """Runs in a process of its own: one model, one phase, one variant."""
    import torch

    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    imported = peak_mib()
    network = build(model, config)
    inputs, extras = batch(model, config)
    if arguments.layout == "channels_last":
        network = network.to(memory_format=torch.channels_last)
        last = lambda t: t.contiguous(memory_format=torch.channels_last) if t.dim() == 4 else t
        inputs, extras = [last(t) for t in inputs], [last(t) for t in extras]
    maybe_compile = torch.compile if arguments.compile else lambda f: f

    if arguments.phase == "infer":
        network.eval()
        forward = maybe_compile(network)

        @torch.inference_mode()
        def work():
            return forward(*inputs)
    else:
        parameters = list(network.parameters())
        averages = [p.detach().clone() for p in parameters]
        optimizer = torch.optim.AdamW(parameters, lr=1e-4, fused=True)
        loss = maybe_compile(network.loss)

        def work():
            optimizer.zero_grad(set_to_none=True)
            loss(*inputs, *extras).backward()
            torch.nn.utils.clip_grad_norm_(parameters, 1.0)
            optimizer.step()
            with torch.no_grad():
                torch._foreach_lerp_(averages, parameters, 1e-3)

    result = timed(work, arguments.repeats, warmups=2)
    result["peak_rss_mib"] = round(peak_mib(), 1)
    result["peak_rss_above_import_mib"] = round(peak_mib() - imported, 1)
    return result | {"parameters": sum(p.numel() for p in network.parameters()), "torch": torch.__version__}


def variant(arguments, model, phase, layout, compiled):
    command = [sys.executable, __file__, "--model", model, "--phase", phase, "--layout", layout]
    command += ["--threads", str(arguments.threads), "--repeats", str(arguments.repeats)]
    command += ["--compile"] * compiled + (["--config", arguments.config] if arguments.config else [])
    environment = os.environ | {"OMP_NUM_THREADS": str(arguments.threads)}
    name = {"layout": layout, "compiled": compiled}
    print(f"{model} {phase} {layout}{' compiled' * compiled} ...", file=sys.stderr, flush=True)
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
    if done.returncode != 0:
        return name | {"error": (done.stderr.strip().splitlines() or ["no message"])[-1]}
    return name | json.loads(done.stdout)


def processor():
    try:
        with open("/proc/cpuinfo") as file:
            return next(line.split(":", 1)[1].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor()


def main():
    parser = argparse.ArgumentParser(description="Times PyTorch on the CPU with the networks of crates/models.")
    parser.add_argument("--model", choices=list(CONFIGS), help="only this one")
    parser.add_argument("--config", help="a JSON file whose entries replace the defaults")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--compile", action="store_true", help="also with torch.compile")
    parser.add_argument("--phase", choices=["train", "infer"], help=argparse.SUPPRESS)
    parser.add_argument("--layout", choices=LAYOUTS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()

    configs = {model: dict(config) for model, config in CONFIGS.items()}
    if arguments.config:
        try:
            with open(arguments.config) as file:
                for model, changes in json.load(file).items():
                    configs[model].update(changes)
        except KeyError as model:
            parser.error(f"{arguments.config}: no model is named {model}; the models are {', '.join(CONFIGS)}")
        except (OSError, ValueError) as cause:
            parser.error(f"{arguments.config}: {cause}")
    if arguments.layout:
        return measure(arguments.model, configs[arguments.model], arguments)

    report = {"system": "PyTorch", "processor": processor(), "threads": arguments.threads, "models": {}}
    for model in [arguments.model] if arguments.model else list(CONFIGS):
        entry = report["models"][model] = {"config": configs[model]}
        for phase in ["train", "infer"]:
            runs = [
                variant(arguments, model, phase, layout, compiled)
                for compiled in [False, True][: 1 + arguments.compile]
                for layout in LAYOUTS
            ]
            good = [run for run in runs if "error" not in run]
            entry[phase] = {"best": min(good, key=lambda run: run["min_ms"], default=None), "runs": runs}
    return report


if __name__ == "__main__":
    print(json.dumps(main(), indent=2))
