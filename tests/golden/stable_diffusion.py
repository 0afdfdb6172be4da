"""Writes the goldens of crates/io/tests/stable_diffusion.rs: tiny pipelines of diffusers, and what they compute.

    python tests/golden/stable_diffusion.py        # diffusers 0.42.1, transformers 5.23.0, torch 2.15.0, Pillow

What crates/yuragi/tests/cli/checkpoints.rs compares twenty steps with is written, too. Weights follow from a formula of name and place (`weights` here and in the test), so that only `sd15`, a whole folder in
half precision, and `single.safetensors`, one file with LDM's names, in 8 bits, are kept as files.
"""

import json
import pathlib
import shutil
import tempfile

import diffusers
import numpy as np
import torch
from diffusers import (
    AutoencoderKL,
    AutoencoderTiny,
    DDIMScheduler,
    DDPMScheduler,
    DEISMultistepScheduler,
    DPMSolverMultistepScheduler,
    DPMSolverSinglestepScheduler,
    EulerAncestralDiscreteScheduler,
    EulerDiscreteScheduler,
    HeunDiscreteScheduler,
    KDPM2AncestralDiscreteScheduler,
    KDPM2DiscreteScheduler,
    LCMScheduler,
    LMSDiscreteScheduler,
    PNDMScheduler,
    StableDiffusionImg2ImgPipeline,
    StableDiffusionInpaintPipeline,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
    TCDScheduler,
    UNet2DConditionModel,
    UniPCMultistepScheduler,
)
from PIL import Image
from safetensors.torch import save_file
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

HERE = pathlib.Path(__file__).parent / "stable_diffusion"
VOCABULARY = 600
PROMPT, NEGATIVE = "a red cat, 3 hats", "blurry"


def hashed(name):
    value = 0x811C9DC5
    for byte in name.encode():
        value = ((value ^ byte) * 0x01000193) & 0xFFFFFFFF
    return value


def uniform(name, count):
    """Numbers in -1..1 that follow from a name."""
    x = (np.arange(count, dtype=np.uint64) * 0x9E3779B9 + hashed(name)) & 0xFFFFFFFF
    for shift, factor in [(16, 0x85EBCA6B), (13, 0xC2B2AE35), (16, 1)]:
        x = ((x ^ (x >> np.uint64(shift))) * factor) & 0xFFFFFFFF
    return x.astype(np.float64) / 2.0**31 - 1.0


def weights(name, shape):
    u = uniform(name, int(np.prod(shape)))
    if len(shape) > 1:
        u *= np.sqrt(3.0 / np.prod(shape[1:]))
    elif name.endswith("bias"):
        u *= 0.1
    else:
        u = 1.0 + 0.2 * u
    return torch.from_numpy(u.astype(np.float32)).reshape(shape)


def numbers(name, *shape):
    return torch.from_numpy(uniform(name, int(np.prod(shape))).astype(np.float32) * 1.5).reshape(shape)


def fill(model, component, half=False):
    for name, parameter in model.named_parameters():
        value = weights(f"{component}.{name.removeprefix('text_model.')}", tuple(parameter.shape))
        parameter.data = value.half().float() if half else value
    return model.eval()


def clip(width, activation, projection=None, layers=2, heads=2):
    config = CLIPTextConfig(
        vocab_size=VOCABULARY, hidden_size=width, intermediate_size=2 * width, num_hidden_layers=layers,
        num_attention_heads=heads, hidden_act=activation, projection_dim=projection or width,
        bos_token_id=VOCABULARY - 2, eos_token_id=VOCABULARY - 1, pad_token_id=VOCABULARY - 1,
    )
    return (CLIPTextModelWithProjection if projection else CLIPTextModel)(config)


def autoencoder(channels=(8, 16), groups=4, **others):
    kinds = len(channels)
    return AutoencoderKL(
        block_out_channels=channels, down_block_types=["DownEncoderBlock2D"] * kinds,
        up_block_types=["UpDecoderBlock2D"] * kinds, layers_per_block=1, latent_channels=4, norm_num_groups=groups,
        sample_size=32, **others,
    )


def unet(kinds, channels=(8, 16), groups=4, layers=1, **others):
    down = {"C": "CrossAttnDownBlock2D", "D": "DownBlock2D"}
    up = {"C": "CrossAttnUpBlock2D", "D": "UpBlock2D"}
    return UNet2DConditionModel(
        sample_size=16, block_out_channels=channels, down_block_types=[down[k] for k in kinds],
        up_block_types=[up[k] for k in reversed(kinds)], layers_per_block=layers, norm_num_groups=groups, **others,
    )


def tokenizer(folder):
    """Bytes, and a few merges: the smallest vocabulary of CLIP's kind."""
    visible = [*range(33, 127), *range(161, 173), *range(174, 256)]
    letters = [chr(b) for b in visible] + [chr(256 + i) for i in range(256 - len(visible))]
    merges = ["r e", "re d</w>", "c a", "ca t</w>", "h a", "t s</w>", "ha ts</w>"]
    words = letters + [letter + "</w>" for letter in letters] + [merge.replace(" ", "") for merge in merges]
    words += [f"<|unused{i}|>" for i in range(VOCABULARY - 2 - len(words))] + ["<|startoftext|>", "<|endoftext|>"]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.json").write_text(json.dumps({word: i for i, word in enumerate(words)}, ensure_ascii=False))
    (folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(merges) + "\n")
    return CLIPTokenizer.from_pretrained(folder, model_max_length=77)


SCHEDULER = dict(
    num_train_timesteps=1000, beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", clip_sample=False,
    set_alpha_to_one=False, steps_offset=1,
)


def ids_of(name, eos=VOCABULARY - 1):
    ids = torch.full((2, 77), eos)
    ids[:, 0] = VOCABULARY - 2
    for row, length in enumerate([9, 30]):
        ids[row, 1 : 1 + length] = torch.from_numpy((uniform(f"{name}.{row}", length) * 0.5 + 0.5) * 500).long()
    return ids


@torch.no_grad()
def evaluate(name, net, vae, encoders, skip, normalised):
    """One evaluation of every network."""
    out = {"ids": ids_of(name)}
    tokens, pooled = [], None
    for encoder in encoders:
        answer = encoder(out["ids"], output_hidden_states=True)
        hidden = answer.hidden_states[-1 - skip]
        if normalised:
            text = getattr(encoder, "text_model", encoder)
            hidden = text.final_layer_norm(hidden)
        tokens.append(hidden)
        pooled = answer.text_embeds if hasattr(answer, "text_embeds") else answer.pooler_output
    out["tokens"] = torch.cat(tokens, -1)
    out["pooled"] = pooled
    out["x"] = numbers(f"{name}.x", 2, net.config.in_channels, 8, 6)
    out["t"] = torch.tensor([981.0, 21.0])
    more = {}
    if net.config.addition_embed_type:
        count = (net.config.projection_class_embeddings_input_dim - pooled.shape[-1]) // net.config.addition_time_embed_dim
        out["numbers"] = torch.tensor([[64.0, 96.0, 0.0, 8.0, 1024.0, 768.0][:count]] * 2)
        more["added_cond_kwargs"] = {"text_embeds": pooled, "time_ids": out["numbers"]}
    if net.config.time_cond_proj_dim:
        width = net.config.time_cond_proj_dim
        w = torch.tensor([7.5, 7.5])
        out["guidance"] = StableDiffusionPipeline.get_guidance_scale_embedding(None, w - 1, width)
        more["timestep_cond"] = out["guidance"]
    out["prediction"] = net(out["x"], out["t"], out["tokens"], **more).sample
    if vae is not None:
        factor = 2 ** (len(vae.config.block_out_channels) - 1)
        out["picture"] = numbers(f"{name}.picture", 1, 3, 8 * factor, 6 * factor)
        posterior = vae.encode(out["picture"]).latent_dist
        out["mean"] = posterior.mean * vae.config.scaling_factor
        out["deviation"] = posterior.std * vae.config.scaling_factor
        out["latent"] = numbers(f"{name}.latent", 1, 4, 8, 6)
        out["decoded"] = vae.decode(out["latent"] / vae.config.scaling_factor).sample
    return {key: value.contiguous() for key, value in out.items()}


def keep(name, values):
    save_file({key: value.int() if value.dtype == torch.int64 else value.float() for key, value in values.items()},
              HERE / f"{name}.safetensors")


def configs(name, **components):
    for component, model in components.items():
        folder = HERE / name / component
        folder.mkdir(parents=True, exist_ok=True)
        model.config.save_pretrained(folder) if hasattr(model.config, "save_pretrained") else model.save_config(folder)


def slim(folder):
    """What nothing reads."""
    for extra in ["safety_checker", "feature_extractor"]:
        shutil.rmtree(folder / extra, ignore_errors=True)


@torch.no_grad()
def start(pipe, out):
    """Twenty steps from given latents by three samplers, as `sd15-values` has had them from the beginning."""
    latents = numbers("start", 1, 4, 8, 8)
    out["start"] = latents
    config = kept(pipe.scheduler)
    for name, kind in [("ddim", DDIMScheduler), ("euler", EulerDiscreteScheduler), ("dpm++2m", DPMSolverMultistepScheduler)]:
        pipe.scheduler = kind.from_config(config)
        answer = pipe(PROMPT, negative_prompt=NEGATIVE, height=16, width=16, num_inference_steps=20, latents=latents,
                      guidance_scale=7.5, output_type="latent")
        out[f"sampled.{name}"] = answer.images


def kept(scheduler):
    """A configuration as a folder keeps it, where nothing is left to a scheduler's own defaults."""
    return {key: value for key, value in scheduler.config.items() if key != "_use_default_values"}


# The samplers that draw no noise of their own, or what the processor's generator gives.
SAMPLERS = {
    "ddpm": (DDPMScheduler, {}), "ddim": (DDIMScheduler, {}), "pndm": (PNDMScheduler, {}),
    "plms": (PNDMScheduler, dict(skip_prk_steps=True)), "euler": (EulerDiscreteScheduler, {}),
    "euler-a": (EulerAncestralDiscreteScheduler, {}), "heun": (HeunDiscreteScheduler, {}), "lms": (LMSDiscreteScheduler, {}),
    "dpm2": (KDPM2DiscreteScheduler, {}), "dpm2-a": (KDPM2AncestralDiscreteScheduler, {}),
    "dpm++2m": (DPMSolverMultistepScheduler, {}), "dpm++3m": (DPMSolverMultistepScheduler, dict(solver_order=3)),
    "dpm++2m-sde": (DPMSolverMultistepScheduler, dict(algorithm_type="sde-dpmsolver++")),
    "dpm++2s": (DPMSolverSinglestepScheduler, {}), "dpm++3s": (DPMSolverSinglestepScheduler, dict(solver_order=3)),
    "unipc": (UniPCMultistepScheduler, {}), "deis": (DEISMultistepScheduler, {}), "lcm": (LCMScheduler, {}),
    "tcd": (TCDScheduler, {}),
}
SEED = 5


def bytes_of(name, *shape):
    return np.floor((uniform(name, int(np.prod(shape))) * 0.5 + 0.5) * 256).astype(np.uint8).reshape(shape)


@torch.no_grad()
def steps():
    """Twenty steps through whole pipelines: every sampler, every family, pictures and masks to begin with."""
    out = {}
    tokens = CLIPTokenizer.from_pretrained(HERE / "sd15" / "tokenizer")

    def read(name, kind, component, **others):
        model = kind.from_config({**kind.load_config(HERE / name / component), **others})
        return fill(model, component, half=name == "sd15")

    def text(name, component="text_encoder"):
        kind = CLIPTextModel if component == "text_encoder" else CLIPTextModelWithProjection
        return fill(kind(CLIPTextConfig.from_pretrained(HERE / name / component)), component, half=name == "sd15")

    def scheduler(name):
        config = json.loads((HERE / name / "scheduler" / "scheduler_config.json").read_text())
        return getattr(diffusers, config["_class_name"]).from_config(config)

    def draw(key, pipe, seed=SEED, **arguments):
        pipe.set_progress_bar_config(disable=True)
        arguments = dict(num_inference_steps=20, guidance_scale=7.5) | arguments
        answer = pipe(PROMPT, negative_prompt=NEGATIVE, generator=torch.Generator().manual_seed(seed), output_type="latent",
                      **arguments)
        out[key] = answer.images.contiguous()
        assert torch.isfinite(answer.images).all(), key

    def surely(vae):
        """The mean of a posterior where pipelines draw from it: what is begun with is then the same for everyone."""
        encode = vae.encode
        vae.encode = lambda x: type("Encoded", (), {"latents": encode(x).latent_dist.mode()})()
        return vae

    parts = (read("sd15", AutoencoderKL, "vae"), text("sd15"), tokens, read("sd15", UNet2DConditionModel, "unet"))
    more = (None, None)
    size = dict(height=16, width=16)
    pipe = StableDiffusionPipeline(*parts, scheduler("sd15"), *more, requires_safety_checker=False)
    own = pipe.scheduler
    for name, (kind, settings) in SAMPLERS.items():
        pipe.scheduler = kind.from_config(kept(own), **settings)
        # Pipelines say 0 where the scheduler's own is 0.3.
        draw(f"sd15.{name}", pipe, **size, **(dict(eta=0.3) if name == "tcd" else {}))
    surely(pipe.vae)
    picture = Image.fromarray(bytes_of("picture", 32, 32, 3))
    mask = np.zeros((32, 32), np.uint8)
    mask[8:24, 4:20] = 255
    mask = Image.fromarray(mask)
    pipe = StableDiffusionImg2ImgPipeline(*parts, EulerDiscreteScheduler.from_config(kept(own)), *more, requires_safety_checker=False)
    draw("sd15.image", pipe, image=picture, strength=0.6)
    pipe = StableDiffusionInpaintPipeline(*parts, EulerDiscreteScheduler.from_config(kept(own)), *more, requires_safety_checker=False)
    draw("sd15.masked", pipe, image=picture, mask_image=mask, strength=0.6, height=32, width=32)

    parts = (read("sd21", AutoencoderKL, "vae"), text("sd21"), tokens, read("sd21", UNet2DConditionModel, "unet"))
    pipe = StableDiffusionPipeline(*parts, scheduler("sd21"), *more, requires_safety_checker=False)
    draw("sd21.own", pipe, height=32, width=32)
    pipe.scheduler = DPMSolverMultistepScheduler.from_config(kept(scheduler("sd21")))
    draw("sd21.dpm++2m", pipe, height=32, width=32)

    parts = (surely(parts[0]), text("inpaint"), tokens)
    for key, others in [("own", {}), ("guided", dict(time_cond_proj_dim=None))]:
        net = read("inpaint", UNet2DConditionModel, "unet", **others)
        pipe = StableDiffusionInpaintPipeline(*parts, net, scheduler("inpaint"), *more, requires_safety_checker=False)
        draw(f"inpaint.{key}", pipe, image=picture, mask_image=mask, strength=1.0, height=32, width=32)

    parts = (read("sdxl", AutoencoderKL, "vae"), text("sdxl"), text("sdxl", "text_encoder_2"), tokens, tokens,
             read("sdxl", UNet2DConditionModel, "unet"))
    pipe = StableDiffusionXLPipeline(*parts, scheduler("sdxl"), add_watermarker=False)
    draw("sdxl.own", pipe, **size)
    pipe.scheduler = DPMSolverMultistepScheduler.from_config(kept(scheduler("sdxl")))
    draw("sdxl.dpm++2m", pipe, **size)
    keep("steps-values", out)


def sd15():
    net = fill(unet("CD", cross_attention_dim=16, attention_head_dim=2), "unet", half=True)
    vae = fill(autoencoder(scaling_factor=0.18215), "vae", half=True)
    text = fill(clip(16, "quick_gelu"), "text_encoder", half=True)
    folder = HERE / "sd15"
    tokens = tokenizer(folder / "tokenizer")
    pipe = StableDiffusionPipeline(vae, text, tokens, net, DDIMScheduler(**SCHEDULER), None, None, requires_safety_checker=False)
    pipe.set_progress_bar_config(disable=True)
    out = evaluate("sd15", net, vae, [text], 0, True)
    out["skipped"] = text.final_layer_norm(text(out["ids"], output_hidden_states=True).hidden_states[-2]).detach()
    start(pipe, out)
    pipe.scheduler = DDIMScheduler(**SCHEDULER)
    keep("sd15-values", out)
    pipe.to(torch.float16).save_pretrained(folder)
    slim(folder)


def others():
    net = fill(unet("CC", layers=2, cross_attention_dim=16, attention_head_dim=[2, 4], use_linear_projection=True), "unet")
    vae = fill(autoencoder((8, 8, 16), scaling_factor=0.18215), "vae")
    text = fill(clip(16, "gelu"), "text_encoder")
    configs("sd21", unet=net, vae=vae, text_encoder=text, scheduler=DDIMScheduler(**SCHEDULER, prediction_type="v_prediction"))
    keep("sd21-values", evaluate("sd21", net, vae, [text], 0, True))

    net = fill(unet("CD", in_channels=9, cross_attention_dim=16, attention_head_dim=2, time_cond_proj_dim=12), "unet")
    configs("inpaint", unet=net, vae=vae, text_encoder=text, scheduler=DDIMScheduler(**SCHEDULER))
    keep("inpaint-values", evaluate("inpaint", net, None, [text], 0, True))

    large = dict(use_linear_projection=True, addition_embed_type="text_time", addition_time_embed_dim=8)
    net = fill(unet("DCC", (8, 16, 32), layers=2, cross_attention_dim=40, attention_head_dim=[1, 2, 4],
                    transformer_layers_per_block=[1, 2, 3], projection_class_embeddings_input_dim=20 + 6 * 8, **large), "unet")
    one = fill(clip(16, "quick_gelu"), "text_encoder")
    two = fill(clip(24, "gelu", projection=20, layers=3), "text_encoder_2")
    vae = fill(autoencoder(scaling_factor=0.13025, force_upcast=True, use_quant_conv=False, use_post_quant_conv=False), "vae")
    configs("sdxl", unet=net, vae=vae, text_encoder=one, text_encoder_2=two, scheduler=EulerDiscreteScheduler(**{
        k: v for k, v in SCHEDULER.items() if k not in ("clip_sample", "set_alpha_to_one")}))
    keep("sdxl-values", evaluate("sdxl", net, vae, [one, two], 1, False))

    net = fill(unet("DCD", (8, 16, 16), layers=2, cross_attention_dim=24, attention_head_dim=[1, 2, 2],
                    transformer_layers_per_block=2, projection_class_embeddings_input_dim=20 + 5 * 8, **large), "unet")
    configs("refiner", unet=net, vae=vae, text_encoder_2=two, scheduler=EulerDiscreteScheduler())
    keep("refiner-values", evaluate("refiner", net, None, [two], 1, False))

    tiny = fill(AutoencoderTiny(encoder_block_out_channels=(8,) * 3, decoder_block_out_channels=(8,) * 3,
                                num_encoder_blocks=(1, 2, 2), num_decoder_blocks=(2, 2, 1)), "taesd")
    latent = numbers("taesd.latent", 1, 4, 4, 3)
    with torch.no_grad():
        keep("taesd-values", {"latent": latent, "decoded": tiny.decode(latent).sample})
    configs("taesd", taesd=tiny)


def single():
    """One file with LDM's names, its matrices in 8 bits; diffusers must read from it what it was written of."""
    net = fill(unet("CD", (32, 32), 32, cross_attention_dim=64, attention_head_dim=8), "unet")
    vae = fill(autoencoder((32, 32), 32, scaling_factor=0.18215), "vae")
    text = fill(clip(64, "quick_gelu", heads=1), "text_encoder")
    for model in (net, vae, text):
        for parameter in model.parameters():
            kept = torch.float8_e4m3fn if parameter.dim() > 1 else torch.float16
            parameter.data = parameter.to(kept).float()

    file = {}
    for name, parameter in net.named_parameters():
        file["model.diffusion_model." + ldm_unet(name, net.config.layers_per_block)] = parameter
    for name, parameter in vae.named_parameters():
        attention = "attentions" in name and parameter.dim() == 2
        file["first_stage_model." + ldm_vae(name, 2)] = parameter[:, :, None, None] if attention else parameter
    for name, parameter in text.named_parameters():
        file["cond_stage_model.transformer.text_model." + name.removeprefix("text_model.")] = parameter
    file["cond_stage_model.transformer.text_model.embeddings.position_ids"] = torch.arange(77)[None]
    file["model_ema.decay"] = torch.tensor(0.9999)
    kept = {name: value.detach().to(torch.int64 if value.dtype == torch.int64 else torch.float16 if value.dim() < 2
                                    else torch.float8_e4m3fn).contiguous() for name, value in file.items()}
    save_file(kept, HERE / "single.safetensors")

    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        tokens = tokenizer(folder / "tokenizer")
        StableDiffusionPipeline(vae, text, tokens, net, DDIMScheduler(**SCHEDULER), None, None,
                                requires_safety_checker=False).save_pretrained(folder / "model")
        read = StableDiffusionPipeline.from_single_file(HERE / "single.safetensors", config=str(folder / "model"),
                                                        local_files_only=True, safety_checker=None)
    for ours, theirs in [(net, read.unet), (vae, read.vae), (text, read.text_encoder)]:
        theirs = dict(theirs.float().named_parameters())
        for name, parameter in ours.named_parameters():
            assert torch.equal(parameter, theirs[name]), name
    keep("single-values", evaluate("single", net, vae, [text], 0, True))


def xl_single():
    """The names of one file of XL, with OpenCLIP's fused maps, and what diffusers reads from such a file."""
    net = fill(unet("DC", (64, 128), 32, cross_attention_dim=192, attention_head_dim=[1, 2], use_linear_projection=True,
                    transformer_layers_per_block=[1, 2], addition_embed_type="text_time", addition_time_embed_dim=256,
                    projection_class_embeddings_input_dim=128 + 6 * 256), "unet")
    vae = fill(autoencoder((32, 64), 32, scaling_factor=0.13025), "vae")
    one = fill(clip(64, "quick_gelu", heads=1), "text_encoder")
    two = fill(clip(128, "gelu", projection=128), "text_encoder_2")
    file, names = {}, {}

    def put(old, value, *new):
        file[old], names[old] = value.detach().contiguous(), list(new)

    for name, parameter in net.named_parameters():
        label = name.replace("add_embedding.linear_1", "label_emb.0.0").replace("add_embedding.linear_2", "label_emb.0.2")
        put("model.diffusion_model." + (label if label != name else ldm_unet(name, net.config.layers_per_block)),
            parameter, f"unet.{name}")
    for name, parameter in vae.named_parameters():
        attention = "attentions" in name and parameter.dim() == 2
        put("first_stage_model." + ldm_vae(name, 2), parameter[:, :, None, None] if attention else parameter, f"vae.{name}")
    for name, parameter in one.named_parameters():
        name = name.removeprefix("text_model.")
        put("conditioner.embedders.0.transformer.text_model." + name, parameter, f"text_encoder.{name}")
    second = {name.removeprefix("text_model."): value for name, value in two.named_parameters()}
    prefix, own = "conditioner.embedders.1.model.", "text_encoder_2."
    put(prefix + "positional_embedding", second["embeddings.position_embedding.weight"], own + "embeddings.position_embedding.weight")
    put(prefix + "token_embedding.weight", second["embeddings.token_embedding.weight"], own + "embeddings.token_embedding.weight")
    put(prefix + "text_projection", second["text_projection.weight"].T, own + "text_projection.weight")
    for kind in ["weight", "bias"]:
        put(prefix + f"ln_final.{kind}", second[f"final_layer_norm.{kind}"], own + f"final_layer_norm.{kind}")
        for layer in range(two.config.num_hidden_layers):
            inner, outer = f"encoder.layers.{layer}.", prefix + f"transformer.resblocks.{layer}."
            for new, old in [("layer_norm1", "ln_1"), ("layer_norm2", "ln_2"), ("mlp.fc1", "mlp.c_fc"),
                             ("mlp.fc2", "mlp.c_proj"), ("self_attn.out_proj", "attn.out_proj")]:
                put(f"{outer}{old}.{kind}", second[f"{inner}{new}.{kind}"], f"{own}{inner}{new}.{kind}")
            maps = [f"{inner}self_attn.{m}_proj.{kind}" for m in "qkv"]
            put(f"{outer}attn.in_proj_{kind}", torch.cat([second[m] for m in maps]), *[own + m for m in maps])
    (HERE / "xl-names.json").write_text(json.dumps({name: [list(file[name].shape), names[name]] for name in sorted(file)},
                                                   separators=(",", ":")))
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        save_file(file, folder / "xl.safetensors")
        tokens = tokenizer(folder / "tokenizer")
        StableDiffusionXLPipeline(vae, one, two, tokens, tokens, net, EulerDiscreteScheduler()).save_pretrained(folder / "model")
        read = StableDiffusionXLPipeline.from_single_file(folder / "xl.safetensors", config=str(folder / "model"),
                                                          local_files_only=True)
    for ours, theirs in [(net, read.unet), (vae, read.vae), (one, read.text_encoder), (two, read.text_encoder_2)]:
        theirs = dict(theirs.float().named_parameters())
        for name, parameter in ours.named_parameters():
            assert torch.equal(parameter, theirs[name]), name
    keep("xl-values", evaluate("xl", net, vae, [one, two], 1, False))


def tiny_xl():
    """The XL of `others` as a pipeline."""
    net = fill(unet("DCC", (8, 16, 32), layers=2, cross_attention_dim=40, attention_head_dim=[1, 2, 4],
                    transformer_layers_per_block=[1, 2, 3], projection_class_embeddings_input_dim=20 + 6 * 8,
                    use_linear_projection=True, addition_embed_type="text_time", addition_time_embed_dim=8), "unet")
    one = fill(clip(16, "quick_gelu"), "text_encoder")
    two = fill(clip(24, "gelu", projection=20, layers=3), "text_encoder_2")
    vae = fill(autoencoder(scaling_factor=0.13025, force_upcast=True, use_quant_conv=False, use_post_quant_conv=False), "vae")
    with tempfile.TemporaryDirectory() as folder:
        tokens = tokenizer(pathlib.Path(folder))
    scheduler = EulerDiscreteScheduler(**{k: v for k, v in SCHEDULER.items() if k not in ("clip_sample", "set_alpha_to_one")})
    return StableDiffusionXLPipeline(vae, one, two, tokens, tokens, net, scheduler, add_watermarker=False)


def xl_lora():
    """What an adapter of the U-Net and of both text encoders makes of the tiny XL, in each of its spellings."""
    def adapter(pipe, spelling):
        out = {}
        for part, model in [("unet", pipe.unet), ("text_encoder", pipe.text_encoder), ("text_encoder_2", pipe.text_encoder_2)]:
            for name, parameter in model.named_parameters():
                if not is_adapted(part, name):
                    continue
                path = name.removesuffix(".weight")
                key = f"{part}.{path.removeprefix('text_model.')}"
                outputs, inputs, *window = parameter.shape
                down, up = weights(f"{key}.down", (2, inputs, *window)), weights(f"{key}.up", (outputs, 2, *[1] * len(window)))
                if part != "unet":
                    path = "text_model." + path.removeprefix("text_model.")
                if spelling == "peft":
                    # It has no alpha of its own: B says it.
                    out[f"{part}.{path}.lora_A.weight"], out[f"{part}.{path}.lora_B.weight"] = down, up * 0.75
                    continue
                if part == "unet" and spelling == "ldm":
                    path = names[key] = ldm_unet(name, model.config.layers_per_block).removesuffix(".weight")
                start = {"unet": "lora_unet_", "text_encoder": "lora_te1_", "text_encoder_2": "lora_te2_"}[part]
                stem = start + path.replace(".", "_")
                out[f"{stem}.lora_down.weight"], out[f"{stem}.lora_up.weight"] = down, up
                out[f"{stem}.alpha"] = torch.tensor(1.5)
        return out

    names = {}
    found = []
    for spelling in ["kohya", "ldm", "peft"]:
        pipe = tiny_xl()
        pipe.load_lora_weights({key: value.clone() for key, value in adapter(pipe, spelling).items()})
        found.append(evaluate("sdxl", pipe.unet, None, [pipe.text_encoder, pipe.text_encoder_2], 1, False))
    for other in found[1:]:
        for key in ["tokens", "pooled", "prediction"]:
            assert (other[key] - found[0][key]).abs().max() < 1e-5 * found[0][key].abs().max(), key
    keep("sdxl-lora-values", {key: found[0][key] for key in ["pooled", "prediction"]})
    (HERE / "sdxl-lora-names.json").write_text(json.dumps(names, separators=(",", ":")))


def is_adapted(part, name):
    """Maps of attention and what follows them, and two convolutions."""
    ends = [".to_q.weight", ".to_out.0.weight", ".ff.net.0.proj.weight", ".proj_in.weight", ".conv1.weight",
            "downsamplers.0.conv.weight"] if part == "unet" else [".q_proj.weight", ".out_proj.weight", ".fc1.weight"]
    return any(name.endswith(end) for end in ends)


def ldm_unet(name, layers):
    for new, old in [("time_embedding.linear_1", "time_embed.0"), ("time_embedding.linear_2", "time_embed.2"),
                     ("conv_in", "input_blocks.0.0"), ("conv_norm_out", "out.0"), ("conv_out", "out.2")]:
        if name.startswith(new + "."):
            return old + name.removeprefix(new)
    parts = name.split(".")
    if parts[0] == "mid_block":
        place = {"resnets": 2 * int(parts[2]), "attentions": 1}[parts[1]]
        return ".".join(["middle_block", str(place), ldm_residual(".".join(parts[3:]))])
    side, level, kind, layer = parts[0], int(parts[1]), parts[2], int(parts[3])
    rest = ".".join(parts[4:])
    if side == "down_blocks":
        number = 1 + level * (layers + 1) + (layers if kind == "downsamplers" else layer)
        piece = {"resnets": "0", "attentions": "1", "downsamplers": "0"}[kind]
        rest = rest.replace("conv.", "op.") if kind == "downsamplers" else rest
        return f"input_blocks.{number}.{piece}.{ldm_residual(rest)}"
    number = level * (layers + 1) + (layers if kind == "upsamplers" else layer)
    # A doubling stands behind what its level's last layer has.
    piece = {"resnets": "0", "attentions": "1", "upsamplers": "1" if level == 0 else "2"}[kind]
    return f"output_blocks.{number}.{piece}.{ldm_residual(rest)}"


def ldm_residual(name):
    for new, old in [("norm1.", "in_layers.0."), ("conv1.", "in_layers.2."), ("time_emb_proj.", "emb_layers.1."),
                     ("norm2.", "out_layers.0."), ("conv2.", "out_layers.3."), ("conv_shortcut.", "skip_connection.")]:
        if name.startswith(new):
            return old + name.removeprefix(new)
    return name


def ldm_vae(name, levels):
    for new, old in [("conv_norm_out", "norm_out"), ("conv_shortcut", "nin_shortcut"), ("mid_block.resnets.0", "mid.block_1"),
                     ("mid_block.resnets.1", "mid.block_2"), ("mid_block.attentions.0", "mid.attn_1"),
                     ("group_norm", "norm"), ("to_q", "q"), ("to_k", "k"), ("to_v", "v"), ("to_out.0", "proj_out"),
                     ("downsamplers.0", "downsample"), ("upsamplers.0", "upsample"), (".resnets.", ".block.")]:
        name = name.replace(new, old)
    name = name.replace("down_blocks.", "down.")
    for level in range(levels):
        name = name.replace(f"up_blocks.{level}.", f"up.{levels - 1 - level}.")
    return name


if __name__ == "__main__":
    torch.set_num_threads(1)
    shutil.rmtree(HERE, ignore_errors=True)
    HERE.mkdir(parents=True)
    sd15()
    others()
    single()
    xl_single()
    xl_lora()
    steps()
