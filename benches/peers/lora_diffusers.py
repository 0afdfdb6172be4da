"""A LoRA that `yuragi train --lora` learns, in diffusers: whether its file means the same there.

    python benches/peers/lora_diffusers.py [target/release/yuragi]    # diffusers 0.42.1, peft, Pillow

Learns a fixed picture on the tiny pipelines of tests/golden (versions 1 and XL; of the U-Net, and of the text encoders, too),
draws with the adapter here and in diffusers from the same noise, and tells how far the latents are apart, and how far the
adapter moves them.
"""

import pathlib
import subprocess
import sys
import tempfile

import torch
from diffusers import StableDiffusionPipeline, StableDiffusionXLPipeline
from PIL import Image
from safetensors.torch import load_file

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/golden"))
MODEL = ROOT / "tests/golden/stable_diffusion/sd15"
PROMPT, NEGATIVE, SEED, STEPS, GUIDANCE = "a red cat", "blurry", 5, 20, 7.5


def main():
    yuragi = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "target/release/yuragi").resolve()
    torch.set_num_threads(1)
    apart = 0.0
    with tempfile.TemporaryDirectory() as xl:
        from stable_diffusion import tiny_xl

        tiny_xl().save_pretrained(xl)
        for model, kind in [(MODEL, StableDiffusionPipeline), (pathlib.Path(xl), StableDiffusionXLPipeline)]:
            for targets in [["attention"], ["transformers"], ["transformers", "--text-encoder"]]:
                with tempfile.TemporaryDirectory() as folder:
                    apart = max(apart, compare(yuragi, pathlib.Path(folder), model, kind, targets))
    if apart > 1e-3:
        sys.exit(f"latents differ by {apart:.1e}")


@torch.no_grad()
def compare(yuragi, folder, model, kind, targets):
    def run(*arguments):
        subprocess.run([yuragi, *map(str, arguments)], cwd=folder, check=True, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)

    (folder / "data").mkdir()
    picture = Image.new("RGB", (32, 32), (220, 40, 30))
    picture.paste((30, 60, 200), (8, 8, 24, 24))
    picture.save(folder / "data/cat.png")
    (folder / "data/cat.txt").write_text(PROMPT)
    run("train", "--model", model, "--lora", "data", "--out", "run", "--rank", 4, "--alpha", 2, "--steps", 300, "--rate", "1e-2",
        "--targets", *targets, "--device", "cpu")
    losses = [float(line.split("\t")[1]) for line in (folder / "run/lora.tsv").read_text().splitlines()[1:]]
    draw = ["generate", PROMPT, "--negative", NEGATIVE, "--model", model, "--seed", SEED, "--rng", "torch-cpu", "--width", 16,
            "--height", 16, "--steps", STEPS, "--guidance", GUIDANCE, "--device", "cpu", "-o", "x.png"]
    run(*draw, "--save-latents", "ours.safetensors", "--lora", "run/lora.safetensors")
    run(*draw, "--save-latents", "plain.safetensors")
    ours, plain = (load_file(folder / f"{name}.safetensors")["latents"] for name in ["ours", "plain"])

    more = {"safety_checker": None} if kind is StableDiffusionPipeline else {"add_watermarker": False}
    pipe = kind.from_pretrained(model, torch_dtype=torch.float32, **more)
    pipe.set_progress_bar_config(disable=True)
    pipe.load_lora_weights(folder / "run", weight_name="lora.safetensors")
    # An adapter is added to weights in their own 16 bits here: the same is done there.
    pipe.fuse_lora()
    if kind is StableDiffusionPipeline:
        pipe.to(torch.float16).to(torch.float32)
    theirs = pipe(PROMPT, negative_prompt=NEGATIVE, generator=torch.Generator().manual_seed(SEED), width=16, height=16,
                  num_inference_steps=STEPS, guidance_scale=GUIDANCE, output_type="latent").images
    size = theirs.abs().max()
    apart = ((ours - theirs).abs().max() / size).item()
    moved = ((ours - plain).abs().max() / size).item()
    print(f"{kind.__name__}, {' '.join(targets)}: loss {losses[0]:.3f} -> {losses[-1]:.3f}; latents {apart:.1e} from diffusers', {moved:.2f} from those "
          f"without it")
    return apart


if __name__ == "__main__":
    main()
