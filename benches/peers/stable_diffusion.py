"""Stable Diffusion 1.5 at its full size, 512x512, on a processor: this program beside PyTorch, OpenVINO and stable-diffusion.cpp.

    pip install torch diffusers transformers openvino stable-diffusion-cpp-python
    python stable_diffusion.py make FOLDER              a checkpoint of random f16 weights: 2.1 GB
    python stable_diffusion.py run FOLDER               the table, row by row, as Markdown

Times depend on no weight's value. Each row is a process of its own: seconds of one evaluation of the U-Net for one
prompt (the median of the later ones), of decoding, from the process's start to the end of the first evaluation, and the
most memory it had, mapped files included. OpenVINO's files are converted before, and that is not counted.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PEERS = ["yuragi", "yuragi-low", "torch-f32", "torch-bf16", "openvino-f32", "openvino-bf16", "sd.cpp"]
TARGET = Path(__file__).resolve().parents[2] / "target" / "release"


def make(folder):
    import torch
    from diffusers import AutoencoderKL, PNDMScheduler, UNet2DConditionModel
    from safetensors.torch import load_file, save_file
    from transformers import CLIPTextConfig, CLIPTextModel

    torch.manual_seed(0)
    blocks = ["DownEncoderBlock2D"] * 4, ["UpDecoderBlock2D"] * 4
    clip = CLIPTextConfig(
        vocab_size=49408, hidden_size=768, intermediate_size=3072, num_hidden_layers=12, num_attention_heads=12,
        hidden_act="quick_gelu", projection_dim=768, bos_token_id=49406, eos_token_id=49407, pad_token_id=49407,
    )
    parts = {
        "unet": lambda: UNet2DConditionModel(sample_size=64, cross_attention_dim=768, attention_head_dim=8),
        "vae": lambda: AutoencoderKL(
            block_out_channels=(128, 256, 512, 512), down_block_types=blocks[0], up_block_types=blocks[1],
            layers_per_block=2, latent_channels=4, sample_size=512,
        ),
        "text_encoder": lambda: CLIPTextModel(clip),
    }
    for name, build in parts.items():
        build().half().save_pretrained(folder / name)
    # As published checkpoints name them, and stable-diffusion.cpp wants them.
    words = folder / "text_encoder" / "model.safetensors"
    tensors = {f"text_model.{name.removeprefix('text_model.')}": tensor for name, tensor in load_file(words).items()}
    save_file(tensors, words, metadata={"format": "pt"})
    PNDMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", skip_prk_steps=True, steps_offset=1,
    ).save_pretrained(folder / "scheduler")
    index = {
        "_class_name": "StableDiffusionPipeline", "scheduler": ["diffusers", "PNDMScheduler"],
        "unet": ["diffusers", "UNet2DConditionModel"], "vae": ["diffusers", "AutoencoderKL"],
        "text_encoder": ["transformers", "CLIPTextModel"],
    }
    (folder / "model_index.json").write_text(json.dumps(index))


def networks(folder, dtype):
    """The U-Net and the decoder as functions of tensors alone."""
    import torch
    from diffusers import AutoencoderKL, UNet2DConditionModel

    class Denoise(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.net = UNet2DConditionModel.from_pretrained(folder / "unet", torch_dtype=dtype).eval()

        def forward(self, x, t, tokens):
            return self.net(x, t, tokens, return_dict=False)[0]

    class Decode(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.net = AutoencoderKL.from_pretrained(folder / "vae", torch_dtype=dtype).eval()

        def forward(self, x):
            return self.net.decode(x, return_dict=False)[0]

    return Denoise, Decode


def examples(dtype, side):
    import torch

    generator = torch.Generator().manual_seed(1)
    normal = lambda *shape: torch.randn(*shape, generator=generator).to(dtype)
    latent = 1, 4, side // 8, side // 8
    return (normal(*latent), torch.tensor([500.0], dtype=dtype), normal(1, 77, 768)), (normal(*latent),)


def timed(run, count):
    times = []
    for _ in range(count):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return times


def torch_peer(folder, dtype, side, threads, runs, start):
    import torch

    torch.set_num_threads(threads)
    Denoise, Decode = networks(folder, getattr(torch, dtype))
    of_unet, of_vae = examples(getattr(torch, dtype), side)
    with torch.inference_mode():
        unet = Denoise()
        times = timed(lambda: unet(*of_unet), 1)
        first = time.time() - start
        times += timed(lambda: unet(*of_unet), runs)
        del unet
        vae = Decode()
        return times, first, timed(lambda: vae(*of_vae), 2)


def convert(folder, side, out):
    import openvino
    import torch

    Denoise, Decode = networks(folder, torch.float32)
    for name, net, inputs in zip(["unet", "vae"], [Denoise, Decode], examples(torch.float32, side)):
        with torch.no_grad():
            model = openvino.convert_model(net(), example_input=inputs, input=[tuple(i.shape) for i in inputs])
        openvino.save_model(model, out / f"{name}.xml", compress_to_fp16=True)


def openvino_peer(converted, hint, side, threads, runs, start):
    import openvino
    import numpy

    core = openvino.Core()
    settings = {"INFERENCE_PRECISION_HINT": hint, "INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY"}
    generator = numpy.random.default_rng(1)
    normal = lambda *shape: generator.standard_normal(shape, dtype=numpy.float32)
    unet = core.compile_model(converted / "unet.xml", "CPU", settings)
    latent = normal(1, 4, side // 8, side // 8)
    inputs = [latent, numpy.array([500.0], numpy.float32), normal(1, 77, 768)]
    times = timed(lambda: unet(inputs), 1)
    first = time.time() - start
    times += timed(lambda: unet(inputs), runs)
    del unet
    vae = core.compile_model(converted / "vae.xml", "CPU", settings)
    return times, first, timed(lambda: vae([latent]), 2)


def cpp_peer(folder, side, threads, runs, start):
    from stable_diffusion_cpp import StableDiffusion

    ends = []
    model = StableDiffusion(
        model_path=str(folder), n_threads=threads, diffusion_flash_attn=True, verbose=False,
    )
    model.generate_image(
        "a red cat", cfg_scale=1.0, sample_steps=1 + runs, sample_method="euler", seed=1,
        width=side, height=side,
        progress_callback=lambda step, steps, seconds: ends.append((step, steps, time.time(), seconds)),
    )
    end = time.time()
    steps = [entry for entry in ends if entry[1] == 1 + runs and entry[0] >= 1]
    moments = [entry[2] for entry in steps]
    times = [after - before for before, after in zip(moments, moments[1:])]
    return times[:1] + times, moments[0] - start, [end - moments[-1]]


def peer(name, arguments):
    """One row's numbers, on the last line of standard output."""
    kind, _, precision = name.partition("-")
    folder, side, threads = arguments.folder, arguments.side, arguments.threads
    runs, start = arguments.evaluations, arguments.start
    if kind == "torch":
        dtype = {"f32": "float32", "bf16": "bfloat16"}[precision]
        times, first, decode = torch_peer(folder, dtype, side, threads, runs, start)
    elif kind == "openvino":
        times, first, decode = openvino_peer(arguments.converted, precision, side, threads, runs, start)
    else:
        times, first, decode = cpp_peer(folder, side, threads, runs, start)
    print(json.dumps({"times": times, "first": first, "decode": decode}))


def measured(command, limit):
    """The last line that a command prints, and its peak of memory in bytes."""
    with tempfile.TemporaryFile() as out:
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.DEVNULL)
        deadline = time.time() + limit
        while True:
            pid, status, usage = os.wait4(process.pid, os.WNOHANG)
            if pid:
                break
            if time.time() > deadline:
                process.kill()
                os.wait4(process.pid, 0)
                raise RuntimeError(f"took more than {limit:.0f} s")
            time.sleep(0.05)
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        lines = out.read().decode(errors="replace").strip().splitlines()
        if process.returncode or not lines:
            raise RuntimeError(f"ended with {process.returncode}")
        return json.loads(lines[-1]), usage.ru_maxrss << 10


def own(low, arguments, limit):
    """This program, a process for each network."""
    memory = ["--low"] if low else []
    base = [arguments.programs / "checkpoint", arguments.folder]
    flags = ["--threads", str(arguments.threads), "--size", f"{arguments.side}x{arguments.side}", *memory]
    unet, peak = measured([*base, "denoise", "--runs", str(1 + arguments.evaluations), *flags], limit)
    decode, other = measured([*base, "decode", "--runs", "2", *flags], limit)
    first = unet["opening_s"] + unet["times_s"][0]
    return {"times": unet["times_s"], "first": first, "decode": decode["times_s"]}, max(peak, other)


def run(arguments):
    deadline = time.time() + 60 * arguments.minutes
    names = [name for name in arguments.only.split(",") if name] or PEERS
    skipped = set(arguments.skip.split(","))
    print("| system | evaluation, s | decode, s | start to first step, s | peak memory, GB |")
    print("| --- | ---: | ---: | ---: | ---: |", flush=True)
    with tempfile.TemporaryDirectory(dir=arguments.scratch) as scratch:
        converted = Path(arguments.converted or scratch)
        for name in names:
            if name in skipped:
                continue
            try:
                left = deadline - time.time()
                if left < 20:
                    raise RuntimeError("no time left")
                limit = min(left, arguments.limit)
                mine = [sys.executable, __file__]
                common = ["--threads", str(arguments.threads), "--side", str(arguments.side)]
                common += ["--evaluations", str(arguments.evaluations)]
                if name.startswith("yuragi"):
                    numbers, peak = own(name.endswith("low"), arguments, limit)
                else:
                    if name.startswith("openvino") and not (converted / "vae.xml").exists():
                        command = [*mine, "convert", arguments.folder, "--converted", converted, *common]
                        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
                        subprocess.run(command, check=True, timeout=limit, **quiet)
                    command = [*mine, "peer", arguments.folder, "--name", name, "--converted", converted, *common]
                    numbers, peak = measured([*command, "--start", str(time.time())], limit)
                later = numbers["times"][1:] or numbers["times"]
                cells = [statistics.median(later), min(numbers["decode"]), numbers["first"], peak / 1e9]
                print(f"| {name} | " + " | ".join(f"{cell:.2f}" for cell in cells) + " |", flush=True)
            except Exception as error:
                reason = " ".join(str(error).split())[-120:]
                print(f"| {name} | not measured: {reason} | | | |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["make", "run", "convert", "peer"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--programs", type=Path, default=TARGET, help="the folder of the program `checkpoint`")
    parser.add_argument("--only", default="", help="these rows, with commas: " + ",".join(PEERS))
    parser.add_argument("--skip", default="", help="not these rows")
    parser.add_argument("--side", type=int, default=512, help="pixels")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--evaluations", type=int, default=3, help="after the first")
    parser.add_argument("--minutes", type=float, default=14, help="for all rows")
    parser.add_argument("--limit", type=float, default=240, help="seconds for a row")
    parser.add_argument("--converted", type=Path, help="where OpenVINO's files are, or are put and kept")
    parser.add_argument("--scratch", type=Path, help="a folder with 2 GB free, if they are not kept")
    parser.add_argument("--name", help=argparse.SUPPRESS)
    parser.add_argument("--start", type=float, default=time.time(), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    match arguments.what:
        case "make":
            make(arguments.folder)
        case "convert":
            convert(arguments.folder, arguments.side, arguments.converted)
        case "peer":
            peer(arguments.name, arguments)
        case "run":
            run(arguments)


if __name__ == "__main__":
    main()
