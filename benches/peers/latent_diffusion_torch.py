"""The networks of `crates/models` in PyTorch: latent diffusion and a variational autoencoder, with the same losses and steps.

    python latent_diffusion_torch.py check denoise FILE     compares with what `networks export` wrote
    python latent_diffusion_torch.py time denoise           prints the times of runs as JSON

A module's name is that of the Rust scope, with `_` after those that Python or PyTorch keep for themselves.
"""

import argparse
import contextlib
import json
import math
import resource
import sys
import time

import torch
from torch import nn
from torch.nn import functional as F

SIZE, LATENT, GROUPS = 64, 4, 8
AUTOENCODER_CHANNELS, AUTOENCODER_BLOCKS = (64, 96), (1, 2)
VOCABULARY, LENGTH, TEXT_WIDTH, TEXT_LAYERS, RECALL = 3072, 24, 224, 1, 8
UNET_CHANNELS, CONDITION, HEADS = (64, 128, 256), 256, 4
RATE, BETAS, WEIGHT_DECAY, CLIP, AVERAGE = 1e-3, (0.9, 0.99), 0.01, 1.0, 0.999
BLIND = 0.4


# Layers.


def conv(inputs, outputs, stride=1):
    return nn.Conv2d(inputs, outputs, 3, stride, padding=1)


def norm(channels):
    return nn.GroupNorm(GROUPS, channels)


def upsample(x):
    return F.interpolate(x, scale_factor=2, mode="nearest")


class Attention(nn.Module):
    def __init__(self, width, context):
        super().__init__()
        self.query = nn.Linear(width, width, bias=False)
        self.key = nn.Linear(context, width, bias=False)
        self.value = nn.Linear(context, width, bias=False)
        self.out = nn.Linear(width, width)

    def forward(self, x, context, mask=None):
        split = lambda t: t.unflatten(-1, (HEADS, -1)).transpose(1, 2)
        q, k, v = split(self.query(x)), split(self.key(context)), split(self.value(context))
        mask = None if mask is None else mask[:, None, None, :]
        return self.out(F.scaled_dot_product_attention(q, k, v, mask).transpose(1, 2).flatten(2))


class FeedForward(nn.Module):
    def __init__(self, width, hidden):
        super().__init__()
        self.in_, self.out = nn.Linear(width, hidden), nn.Linear(hidden, width)

    def forward(self, x):
        return self.out(F.gelu(self.in_(x)))


# The autoencoder.


class Block(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.norm1, self.conv1 = norm(width), conv(width, width)
        self.norm2, self.conv2 = norm(width), conv(width, width)

    def forward(self, x):
        return x + self.conv2(F.silu(self.norm2(self.conv1(F.silu(self.norm1(x))))))


def blocks(stage):
    return nn.Sequential(*(Block(AUTOENCODER_CHANNELS[stage]) for _ in range(AUTOENCODER_BLOCKS[stage])))


class Encoder(nn.Module):
    def __init__(self):
        super().__init__()
        half, quarter = AUTOENCODER_CHANNELS
        self.in_, self.half_ = conv(12, half), blocks(0)
        self.down, self.quarter = conv(half, quarter, stride=2), blocks(1)
        self.norm, self.out = norm(quarter), conv(quarter, 2 * LATENT)

    def forward(self, picture):
        squares = picture.unflatten(3, (-1, 2)).unflatten(2, (-1, 2))
        x = squares.permute(0, 3, 5, 1, 2, 4).flatten(1, 3)
        x = self.quarter(self.down(self.half_(self.in_(x))))
        mean, log_variance = self.out(F.silu(self.norm(x))).chunk(2, dim=1)
        return mean, log_variance.clamp(-20, 20)


class Decoder(nn.Module):
    def __init__(self):
        super().__init__()
        half, quarter = AUTOENCODER_CHANNELS
        self.in_, self.quarter = conv(LATENT, quarter), blocks(1)
        self.up, self.half_ = conv(quarter, half), blocks(0)
        self.norm, self.out = norm(half), conv(half, 12)

    def forward(self, latent):
        x = self.half_(self.up(upsample(self.quarter(self.in_(latent)))))
        squares = self.out(F.silu(self.norm(x))).unflatten(1, (2, 2, 3))
        return squares.permute(0, 3, 4, 1, 5, 2).flatten(4, 5).flatten(2, 3)


class Autoencoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder, self.decoder = Encoder(), Decoder()

    def loss(self, picture, noise):
        mean, log_variance = self.encoder(picture)
        error = self.decoder(mean + (0.5 * log_variance).exp() * noise) - picture
        l1, mse = error.abs().mean(), error.square().mean()
        edges = error.diff(dim=2).abs().mean() + error.diff(dim=3).abs().mean()
        kl = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).mean()
        return l1 + 2 * mse + 0.5 * edges + 2e-4 * kl


# The text encoder and the U-Net.


class TextBlock(nn.Module):
    def __init__(self):
        super().__init__()
        width = TEXT_WIDTH
        self.norm1, self.attention, self.norm2 = nn.LayerNorm(width), Attention(width, width), nn.LayerNorm(width)
        self.mlp = FeedForward(width, 4 * width)

    def forward(self, x, mask):
        h = self.norm1(x)
        x = x + self.attention(h, h, mask)
        return x + self.mlp(self.norm2(x))


class TextEncoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(VOCABULARY, TEXT_WIDTH)
        self.position = nn.Parameter(0.02 * torch.randn(LENGTH, TEXT_WIDTH))
        for layer in range(TEXT_LAYERS):
            self.add_module(str(layer), TextBlock())
        self.norm, self.pool = nn.LayerNorm(TEXT_WIDTH), nn.LayerNorm(TEXT_WIDTH)
        self.recall = FeedForward(TEXT_WIDTH, RECALL * TEXT_WIDTH)

    def forward(self, caption):
        kept = (caption != 0).float()
        mask = (1 - kept) * -1e9
        x = self.embedding(caption) + self.position
        for layer in range(TEXT_LAYERS):
            x = self.get_submodule(str(layer))(x, mask)
        tokens, kept = self.norm(x), kept[:, :, None]
        pooled = self.pool((tokens * kept).sum(1) / (kept.sum(1) + 1e-6))
        return tokens, mask, pooled + self.recall(pooled)


class ModulatedNorm(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.modulation = nn.Linear(CONDITION, 2 * channels)

    def forward(self, x, condition):
        scale, shift = self.modulation(condition)[:, :, None, None].chunk(2, dim=1)
        return torch.addcmul(shift, F.group_norm(x, GROUPS), scale + 1)


class Residual(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.norm1, self.conv1 = norm(inputs), conv(inputs, outputs)
        self.norm2, self.conv2 = ModulatedNorm(outputs), conv(outputs, outputs)
        self.shortcut = nn.Identity() if inputs == outputs else nn.Conv2d(inputs, outputs, 1)

    def forward(self, x, condition):
        h = self.conv1(F.silu(self.norm1(x)))
        return self.shortcut(x) + self.conv2(F.silu(self.norm2(h, condition)))


class Attend(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.norm1, self.self_ = norm(width), Attention(width, width)
        self.norm2, self.cross = norm(width), Attention(width, TEXT_WIDTH)

    def forward(self, x, tokens, mask):
        size = x.shape[2:]
        pixels = lambda x: x.flatten(2).transpose(1, 2)
        grid = lambda x: x.transpose(1, 2).unflatten(2, size)
        y = pixels(self.norm1(x))
        x = x + grid(self.self_(y, y))
        return x + grid(self.cross(pixels(self.norm2(x)), tokens, mask))


class UNet(nn.Module):
    def __init__(self):
        super().__init__()
        full, half, quarter = UNET_CHANNELS
        self.time = nn.ModuleList([nn.Linear(full, CONDITION), nn.Linear(CONDITION, CONDITION)])
        self.text, self.in_ = nn.Linear(TEXT_WIDTH, CONDITION), conv(LATENT, full)

        def down(inputs, outputs):
            return nn.ModuleDict({"half_": conv(inputs, inputs, stride=2), "residual": Residual(inputs, outputs)})

        def up(inputs, outputs, next):
            parts = {"residual": Residual(inputs, outputs), "attention": Attend(outputs)}
            return nn.ModuleDict(parts | {"narrow": nn.Conv2d(outputs, next, 1)})

        self.down0 = nn.ModuleDict({"residual": Residual(full, full)})
        self.down1, self.down2 = down(full, half), down(half, quarter)
        middle = {f"residual{i}": Residual(quarter, quarter) for i in (1, 2)}
        grid = nn.Linear(TEXT_WIDTH, quarter * (SIZE // 16) ** 2)
        self.mid = nn.ModuleDict(middle | {"grid": grid, "attention": Attend(quarter)})
        self.up2, self.up1 = up(2 * quarter, quarter, half), up(2 * half, half, full)
        self.up0 = nn.ModuleDict({"residual": Residual(2 * full, full)})
        self.norm, self.out = norm(full), conv(full, LATENT)
        steps = torch.arange(full // 2) / (full // 2)
        self.register_buffer("frequencies", torch.exp(-math.log(10_000) * steps), persistent=False)

    def forward(self, x, t, tokens, mask, pooled):
        angles = 1000 * t[:, None] * self.frequencies
        time = F.silu(self.time[0](torch.cat([angles.cos(), angles.sin()], dim=1)))
        condition = F.silu(self.time[1](time) + self.text(pooled))

        def rise(stage, x, skip):
            x = stage["residual"](torch.cat([x, skip], dim=1), condition)
            return upsample(stage["narrow"](stage["attention"](x, tokens, mask)))

        skip0 = self.down0["residual"](self.in_(x), condition)
        skip1 = self.down1["residual"](self.down1["half_"](skip0), condition)
        skip2 = self.down2["residual"](self.down2["half_"](skip1), condition)
        grid = self.mid["grid"](pooled).unflatten(1, (SIZE // 16, SIZE // 16, -1)).permute(0, 3, 1, 2)
        x = self.mid["residual1"](skip2 + grid, condition)
        x = self.mid["residual2"](self.mid["attention"](x, tokens, mask), condition)
        x = rise(self.up1, rise(self.up2, x, skip2), skip1)
        x = self.up0["residual"](torch.cat([x, skip0], dim=1), condition)
        return self.out(F.silu(self.norm(x)))


class Diffusion(nn.Module):
    def __init__(self):
        super().__init__()
        self.text, self.unet = TextEncoder(), UNet()
        self.register_buffer("colour", 0.25 * torch.randn(LATENT, 3), persistent=False)

    def loss(self, x0, caption, noise, normal, uniform):
        times = torch.where(uniform < BLIND, 1.0, (normal * 1.2 + 1.1).sigmoid())
        t = times[:, None, None, None]
        error = self.unet(x0 * (1 - t) + noise * t, times, *self.text(caption)) - x0
        weight = t.clamp_min(0.25).reciprocal().square()
        weighted = lambda e: (e.square().mean(dim=(1, 2, 3), keepdim=True) * weight).mean()
        colours = F.conv2d(error, self.colour.T[:, :, None, None])
        return weighted(error) + 0.5 * (weighted(colours) + weighted(F.avg_pool2d(colours, 4)))


# The variational autoencoder of Burda et al. (2016).


class Vae(nn.Module):
    def __init__(self):
        super().__init__()

        def side(inputs, *heads):
            layers = {"0": nn.Linear(inputs, 200), "1": nn.Linear(200, 200)}
            return nn.ModuleDict({"0": nn.ModuleDict(layers | {name: nn.Linear(200, width) for name, width in heads})})

        self.encoder = side(784, ("mean", 50), ("log_variance", 50))
        self.decoder = side(50, ("out", 784))

    def loss(self, x, uniform, noise):
        trunk = lambda side, h: torch.tanh(side["1"](torch.tanh(side["0"](h))))
        x, encoder, decoder = (uniform < x).float(), self.encoder["0"], self.decoder["0"]
        h = trunk(encoder, x)
        mean, log_variance = encoder["mean"](h), encoder["log_variance"](h)
        logits = decoder["out"](trunk(decoder, mean + (0.5 * log_variance).exp() * noise))
        reconstruction = F.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(1)
        divergence = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(1)
        return (reconstruction + divergence).mean()


class Plain:
    """Adam, as `vae::OPTIMIZER`; PyTorch's own norm of the gradient, for the comparison."""

    averages = []

    def __init__(self, network, compiled):
        self.loss, self.parameters = compiled(network.loss), list(named(network).values())
        self.optimizer = torch.optim.Adam(self.parameters, lr=RATE, eps=1e-4, fused=True)

    def run(self, *inputs):
        self.optimizer.zero_grad(set_to_none=True)
        loss = self.loss(*inputs)
        loss.backward()
        length = nn.utils.get_total_norm([p.grad for p in self.parameters])
        self.optimizer.step()
        return {"loss": loss.detach(), "norm": length}


# The pieces of work. `given` holds inputs and random draws by name, or draws them.


class Trainer:
    """AdamW with clipping and averaged weights, as `latent_diffusion::OPTIMIZER`."""

    def __init__(self, network, compiled):
        self.network, self.loss, self.step = network, compiled(network.loss), 0
        parameters = named(network)
        self.parameters = list(parameters.values())
        self.averages = [p.detach().clone() for p in self.parameters]
        groups = {"rare": [], "matrix": [], "vector": []}
        for name, p in parameters.items():
            groups["rare" if name.endswith("embedding") else "matrix" if p.dim() >= 2 else "vector"].append(p)
        self.optimizer = torch.optim.AdamW(
            [
                {"params": groups["rare"], "lr": 6 * RATE, "weight_decay": 0.0},
                {"params": groups["matrix"], "weight_decay": WEIGHT_DECAY},
                {"params": groups["vector"], "weight_decay": 0.0},
            ],
            lr=RATE,
            betas=BETAS,
            fused=True,
        )

    def run(self, *inputs):
        self.optimizer.zero_grad(set_to_none=True)
        loss = self.loss(*inputs)
        loss.backward()
        length = nn.utils.clip_grad_norm_(self.parameters, CLIP)
        self.optimizer.step()
        decay = min(AVERAGE, self.step / (self.step + 10))
        with torch.no_grad():
            torch._foreach_lerp_(self.averages, self.parameters, 1 - decay)
        self.step += 1
        return {"loss": loss.detach(), "norm": length}


def autoencoder_training(compiled):
    network = Autoencoder()
    trainer = Trainer(network, compiled)
    latent = [16, SIZE // 4, SIZE // 4, LATENT]

    def run(given):
        return trainer.run(given("picture", [16, SIZE, SIZE, 3]), given("random.0", latent))

    return network, trainer, run


def diffusion_training(compiled, batch=16):
    network = Diffusion()
    trainer = Trainer(network, compiled)
    latent = [batch, SIZE // 4, SIZE // 4, LATENT]

    def run(given):
        x0, caption, noise = given("latent", latent), given("caption", [batch, LENGTH]), given("random.0", latent)
        return trainer.run(x0, caption, noise, given("random.1", [batch]), given("random.2", [batch]))

    return network, trainer, run


def unet_training(compiled):
    global SIZE
    SIZE = 128
    return diffusion_training(compiled, 8)


def vae_training(compiled):
    network = Vae()
    trainer = Plain(network, compiled)

    def run(given):
        return trainer.run(given("x", [20, 784]), given("random.1000", [20, 784]), given("random.0", [20, 50]))

    return network, trainer, run


def denoise(compiled):
    network = nn.ModuleDict({"unet": UNet()})
    forward = compiled(network["unet"])

    def run(given):
        x, t = given("x", [2, SIZE // 4, SIZE // 4, LATENT]), given("t", [2])
        tokens, mask = given("tokens", [2, LENGTH, TEXT_WIDTH]), given("mask", [2, LENGTH])
        return {"sample": forward(x, t, tokens, mask, given("pooled", [2, TEXT_WIDTH]))}

    return network, None, run


def decode(compiled):
    network = nn.ModuleDict({"decoder": Decoder()})
    forward = compiled(network["decoder"])
    mean, deviation = (torch.full([LATENT, 1, 1], value) for value in (0.1, 1.5))

    def run(given):
        latent = given("latent", [1, SIZE // 4, SIZE // 4, LATENT])
        return {"picture": forward(latent * deviation + mean)}

    return network, None, run


WORK = {
    "autoencoder-training": autoencoder_training,
    "diffusion-training": diffusion_training,
    "unet-training": unet_training,
    "vae-training": vae_training,
    "denoise": denoise,
    "decode": decode,
}


def named(network):
    """The parameters by the names that they have in Rust."""
    found = {}
    for path, module in network.named_modules():
        for key, parameter in module.named_parameters(recurse=False):
            scale = isinstance(module, (nn.GroupNorm, nn.LayerNorm)) and key == "weight"
            name = path if isinstance(module, nn.Embedding) else f"{path}.{'gain' if scale else key}"
            found[name.replace("_.", ".")] = parameter
    return found


def transposed(name, value, parameter):
    """A Rust weight, `[in, out]` or `[KH, KW, in, out]`, as PyTorch lays it out."""
    if value.dim() < 2 or name.endswith(("embedding", "position")):
        return value
    if value.dim() == 4:
        return value.permute(3, 2, 0, 1)
    return value.T[:, :, None, None] if parameter.dim() == 4 else value.T


def check(work, path):
    """The largest difference of each output, and of the weights' change, relative to its size."""
    from safetensors.torch import load_file

    file = load_file(path)
    network, trainer, run = WORK[work](lambda f: f)
    parameters = named(network)
    theirs = {name.removeprefix("before.") for name in file if name.startswith("before.")}
    theirs = {name for name in theirs if not name.startswith("ema.")}
    assert theirs == set(parameters), f"other parameters: {sorted(theirs ^ set(parameters))}"

    def rust(prefix, name):
        parameter = parameters[name]
        value = transposed(name, file[f"{prefix}.{name}"], parameter)
        assert value.shape == parameter.shape, f"{name}: {tuple(value.shape)}, not {tuple(parameter.shape)}"
        return value

    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(rust("before", name))
        if trainer and trainer.averages:
            torch._foreach_copy_(trainer.averages, trainer.parameters)
        if isinstance(network, Diffusion):
            network.colour.copy_(file["constant.colour"])

    worst = {}

    def compare(name, have, want):
        error = float((have - want).abs().max() / want.abs().max())
        worst[name] = max(worst.get(name, 0.0), error)

    for step in range(sum(name.startswith("input.hyper.") for name in file) or 1):

        def given(name, shape):
            value = file[f"{name}.{step}" if name.startswith("random.") else f"input.{name}.{step}"]
            assert list(value.shape) == shape, f"{name}: {tuple(value.shape)}, not {shape}"
            return value.permute(0, 3, 1, 2) if value.dim() == 4 else value

        with contextlib.nullcontext() if trainer else torch.inference_mode():
            outputs = run(given)
        for name, value in outputs.items():
            want = file[f"output.{name}.{step}"]
            compare(name, value, want.permute(0, 3, 1, 2) if want.dim() == 4 else want)

    report = {"work": work, "weights": sum(p.numel() for p in parameters.values()), "outputs": worst}
    if trainer:
        flat = lambda tensors: torch.cat([t.detach().flatten() for t in tensors])
        ours, before = flat(trainer.parameters), flat(rust("before", name) for name in parameters)
        changes = [("weights", ours, "after")]
        if trainer.averages:
            changes.append(("averages", flat(trainer.averages), "after.ema"))
        for what, have, prefix in changes:
            want = flat(rust(prefix, name) for name in parameters)
            report[f"{what}_change"] = float((have - want).norm() / (want - before).norm())
    return report


def measure(work, arguments):
    imported = peak_mib()
    torch.manual_seed(0)
    torch.set_num_threads(arguments.threads)
    network, trainer, run = WORK[work](torch.compile if arguments.compile else lambda f: f)
    last = arguments.layout == "channels_last"
    if last:
        network.to(memory_format=torch.channels_last)
    constant = {}

    def draw(name, shape):
        if name == "caption":
            words = torch.randint(3, 3000, (shape[0], 10))
            return F.pad(words, (0, shape[1] - 10))
        if name == "mask":
            return torch.where(torch.arange(shape[1]) < 10, 0.0, -1e9).expand(shape).contiguous()
        value = torch.rand(shape) if name in ("t", "x", "random.2", "random.1000") and len(shape) < 4 else torch.randn(shape)
        if len(shape) != 4:
            return value
        value = value.permute(0, 3, 1, 2)
        return value.contiguous(memory_format=torch.channels_last if last else torch.contiguous_format)

    def given(name, shape):
        """Noise is drawn anew by every run, as in Rust; inputs are there before."""
        if name.startswith("random."):
            return draw(name, shape)
        if name not in constant:
            constant[name] = draw(name, shape)
        return constant[name]

    times, begin = [], None
    with contextlib.nullcontext() if trainer else torch.inference_mode():
        for number in range(1_000_000):
            start = time.perf_counter()
            run(given)
            end = time.perf_counter()
            if number == 1:
                begin = end
            elif number > 1:
                times.append(1e3 * (end - start))
                if len(times) >= 3 and end - begin >= arguments.seconds:
                    break
    weights = sum(p.numel() for p in network.parameters())
    return {"times_ms": times, "weights": weights, "imported_mib": imported, "torch": torch.__version__}


def peak_mib():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


def main():
    parser = argparse.ArgumentParser(description="The latent diffusion model of crates/models in PyTorch.")
    commands = parser.add_subparsers(dest="command", required=True)
    checked = commands.add_parser("check", help="compare with what `networks export` wrote")
    checked.add_argument("work", choices=WORK)
    checked.add_argument("file")
    timed = commands.add_parser("time", help="print the times of runs as JSON")
    timed.add_argument("work", choices=WORK)
    timed.add_argument("--layout", choices=["plain", "channels_last"], default="plain")
    timed.add_argument("--compile", action="store_true")
    timed.add_argument("--threads", type=int, default=2)
    timed.add_argument("--seconds", type=float, default=5.0)
    arguments = parser.parse_args()
    if arguments.command == "check":
        return check(arguments.work, arguments.file)
    return measure(arguments.work, arguments)


if __name__ == "__main__":
    print(json.dumps(main()))
