"""Stable Diffusion at its full size on a processor: this program beside PyTorch, OpenVINO and stable-diffusion.cpp.

    pip install torch diffusers transformers openvino stable-diffusion-cpp-python
    python stable_diffusion.py make FOLDER              version 1.5 with random f16 weights: 2.1 GB
    python stable_diffusion.py make FOLDER --xl         version XL, likewise: 6.9 GB
    python stable_diffusion.py run FOLDER               the table, row by row, as Markdown: 512x512, of XL 1024x1024

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


def is_xl(folder):
    return (folder / "text_encoder_2").is_dir()


def make(folder, xl):
    import torch
    from diffusers import AutoencoderKL, EulerDiscreteScheduler, PNDMScheduler, UNet2DConditionModel
    from safetensors.torch import load_file, save_file
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

    torch.manual_seed(0)
    torch.set_default_dtype(torch.float16)
    blocks = ["DownEncoderBlock2D"] * 4, ["UpDecoderBlock2D"] * 4
    marks = {"vocab_size": 49408, "bos_token_id": 49406, "eos_token_id": 49407, "pad_token_id": 49407}
    clip = CLIPTextConfig(
        hidden_size=768, intermediate_size=3072, num_hidden_layers=12, num_attention_heads=12,
        hidden_act="quick_gelu", projection_dim=768, **marks,
    )
    big = CLIPTextConfig(
        hidden_size=1280, intermediate_size=5120, num_hidden_layers=32, num_attention_heads=20,
        hidden_act="gelu", projection_dim=1280, **marks,
    )
    narrow = {"sample_size": 64, "cross_attention_dim": 768, "attention_head_dim": 8}
    wide = dict(
        sample_size=128, block_out_channels=(320, 640, 1280), layers_per_block=2,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        transformer_layers_per_block=(1, 2, 10), attention_head_dim=(5, 10, 20), cross_attention_dim=2048,
        use_linear_projection=True, addition_embed_type="text_time", addition_time_embed_dim=256,
        projection_class_embeddings_input_dim=2816,
    )
    parts = {
        "unet": lambda: UNet2DConditionModel(**(wide if xl else narrow)),
        "vae": lambda: AutoencoderKL(
            block_out_channels=(128, 256, 512, 512), down_block_types=blocks[0], up_block_types=blocks[1],
            layers_per_block=2, latent_channels=4, sample_size=1024 if xl else 512,
            scaling_factor=0.13025 if xl else 0.18215,
        ),
        "text_encoder": lambda: CLIPTextModel(clip),
    }
    if xl:
        parts["text_encoder_2"] = lambda: CLIPTextModelWithProjection(big)
    for name, build in parts.items():
        build().half().save_pretrained(folder / name, max_shard_size="20GB")
    # As published checkpoints name them, and stable-diffusion.cpp wants them.
    words = folder / "text_encoder" / "model.safetensors"
    tensors = {f"text_model.{name.removeprefix('text_model.')}": tensor for name, tensor in load_file(words).items()}
    save_file(tensors, words, metadata={"format": "pt"})
    noise = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "steps_offset": 1}
    scheduler = EulerDiscreteScheduler(**noise) if xl else PNDMScheduler(skip_prk_steps=True, **noise)
    scheduler.save_pretrained(folder / "scheduler")
    index = {
        "_class_name": "StableDiffusionXLPipeline" if xl else "StableDiffusionPipeline",
        "scheduler": ["diffusers", type(scheduler).__name__],
        "unet": ["diffusers", "UNet2DConditionModel"], "vae": ["diffusers", "AutoencoderKL"],
        "text_encoder": ["transformers", "CLIPTextModel"],
    }
    if xl:
        index["text_encoder_2"] = ["transformers", "CLIPTextModelWithProjection"]
    (folder / "model_index.json").write_text(json.dumps(index))


def networks(folder, dtype):
    """The U-Net and the decoder as functions of tensors alone."""
    import torch
    from diffusers import AutoencoderKL, UNet2DConditionModel

    class Denoise(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.net = UNet2DConditionModel.from_pretrained(folder / "unet", torch_dtype=dtype).eval()

        def forward(self, x, t, tokens, *conditions):
            added = dict(zip(["text_embeds", "time_ids"], conditions))
            return self.net(x, t, tokens, added_cond_kwargs=added, return_dict=False)[0]

    class Decode(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.net = AutoencoderKL.from_pretrained(folder / "vae", torch_dtype=dtype).eval()

        def forward(self, x):
            return self.net.decode(x, return_dict=False)[0]

    return Denoise, Decode


def examples(folder, side):
    """Inputs of the U-Net and of the decoder."""
    import numpy

    generator = numpy.random.default_rng(1)
    normal = lambda *shape: generator.standard_normal(shape, dtype=numpy.float32)
    latent = normal(1, 4, side // 8, side // 8)
    unet = [latent, numpy.array([500.0], numpy.float32), normal(1, 77, 2048 if is_xl(folder) else 768)]
    if is_xl(folder):
        unet += [normal(1, 1280), numpy.array([[side, side, 0, 0, side, side]], numpy.float32)]
    return unet, [latent]


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
    tensors = lambda arrays: [torch.from_numpy(array).to(getattr(torch, dtype)) for array in arrays]
    of_unet, of_vae = map(tensors, examples(folder, side))
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
    for name, net, arrays in zip(["unet", "vae"], [Denoise, Decode], examples(folder, side)):
        inputs = tuple(map(torch.from_numpy, arrays))
        with torch.no_grad():
            model = openvino.convert_model(net(), example_input=inputs, input=[tuple(i.shape) for i in inputs])
        openvino.save_model(model, out / f"{name}.xml", compress_to_fp16=True)


def openvino_peer(folder, converted, hint, side, threads, runs, start):
    import openvino

    core = openvino.Core()
    settings = {"INFERENCE_PRECISION_HINT": hint, "INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY"}
    of_unet, of_vae = examples(folder, side)
    unet = core.compile_model(converted / "unet.xml", "CPU", settings)
    times = timed(lambda: unet(of_unet), 1)
    first = time.time() - start
    times += timed(lambda: unet(of_unet), runs)
    del unet
    vae = core.compile_model(converted / "vae.xml", "CPU", settings)
    return times, first, timed(lambda: vae(of_vae), 2)


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
        times, first, decode = openvino_peer(folder, arguments.converted, precision, side, threads, runs, start)
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
    parser.add_argument("--side", type=int, help="pixels [default: 512, of XL 1024]")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--evaluations", type=int, default=3, help="after the first")
    parser.add_argument("--minutes", type=float, default=14, help="for all rows")
    parser.add_argument("--limit", type=float, default=240, help="seconds for a row")
    parser.add_argument("--converted", type=Path, help="where OpenVINO's files are, or are put and kept")
    parser.add_argument("--scratch", type=Path, help="a folder with 2 GB free, if they are not kept")
    parser.add_argument("--name", help=argparse.SUPPRESS)
    parser.add_argument("--start", type=float, default=time.time(), help=argparse.SUPPRESS)
    parser.add_argument("--xl", action="store_true", help="with make: version XL")
    arguments = parser.parse_args()
    arguments.side = arguments.side or (1024 if is_xl(arguments.folder) else 512)
    match arguments.what:
        case "make":
            make(arguments.folder, arguments.xl)
        case "convert":
            convert(arguments.folder, arguments.side, arguments.converted)
        case "peer":
            peer(arguments.name, arguments)
        case "run":
            run(arguments)


if __name__ == "__main__":
    main()
