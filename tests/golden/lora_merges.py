"""Writes weights, adapters of them by PEFT and in kohya's names, and the weights that PEFT merges. Needs peft:

    python tests/golden/lora_merges.py crates/io/tests/golden
"""

import copy
import pathlib
import sys

import torch
from peft import LoHaConfig, LoKrConfig, LoraConfig, get_peft_model, get_peft_model_state_dict
from safetensors.torch import save_file

LAYERS = {
    "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q": torch.nn.Linear(12, 10, bias=False),
    "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_out.0": torch.nn.Linear(10, 12),
    "down_blocks.0.attentions.0.proj_in": torch.nn.Conv2d(6, 8, 1),
    "down_blocks.0.resnets.0.conv1": torch.nn.Conv2d(4, 6, 3, padding=1),
    "mid_block.attentions.0.transformer_blocks.0.ff.net.0.proj": torch.nn.Linear(5, 16),
}
RANK, ALPHA = 3, 2.0


def tree(layers):
    """A module of these layers."""
    root = torch.nn.Module()
    for path, layer in layers.items():
        module, *parts = root, *path.split(".")
        for part in parts[:-1]:
            if not hasattr(module, part):
                module.add_module(part, torch.nn.Module())
            module = getattr(module, part)
        module.add_module(parts[-1], layer)
    return root


def weights_of(root, layers):
    return {f"unet.{path}.weight": root.get_submodule(path).weight.detach().clone() for path in layers}


torch.manual_seed(5)
root = tree(LAYERS)
base = weights_of(root, LAYERS)


def merged_by(config, kind, root=root, layers=LAYERS):
    """An adapter in kohya's names and what PEFT makes of the weights with it."""
    tuned = get_peft_model(copy.deepcopy(root), config)
    tuned.base_model._cast_adapter_dtype("default", autocast_adapter_dtype=False)
    torch.manual_seed(6)
    adapter = {}
    for name, tensor in tuned.named_parameters():
        if not tensor.requires_grad:
            continue
        with torch.no_grad():
            if "magnitude" in name:
                tensor.mul_(1 + 0.3 * torch.rand_like(tensor))
            else:
                tensor.copy_(torch.randn_like(tensor) * 0.5)
        path, part = name.removeprefix("base_model.model.").split(f".{kind}_", 1)
        part = f"{kind}_{part}".replace(".default", "")
        part = {"lora_A.weight": "lora_down.weight", "lora_B.weight": "lora_up.weight"}.get(part, part)
        stem = "lora_unet_" + path.replace(".", "_")
        adapter[f"{stem}.{part}"] = tensor.detach().clone().contiguous()
        adapter[f"{stem}.alpha"] = torch.tensor(float(getattr(config, "lora_alpha", getattr(config, "alpha", None))))
    done = tuned.merge_and_unload()
    return adapter, weights_of(done, layers)


everything = list(LAYERS)
others = {
    "loha": merged_by(LoHaConfig(r=3, alpha=2.0, target_modules=everything), "hada"),
    "loha-core": merged_by(LoHaConfig(r=3, alpha=2.0, target_modules=everything, use_effective_conv2d=True), "hada"),
    "lokr": merged_by(LoKrConfig(r=1, alpha=2.0, target_modules=everything, decompose_factor=2), "lokr"),
    "lokr-core": merged_by(
        LoKrConfig(r=1, alpha=2.0, target_modules=everything, decompose_both=True, use_effective_conv2d=True), "lokr"
    ),
    "dora": merged_by(LoraConfig(r=3, lora_alpha=2.0, target_modules=everything, use_dora=True), "lora"),
}

# Some of them are not adapted by their own name but by a part of it.
targets = [path for path in LAYERS]
model = get_peft_model(root, LoraConfig(r=RANK, lora_alpha=ALPHA, target_modules=targets, init_lora_weights=False))
adapter = {name: tensor.detach().clone().contiguous() for name, tensor in get_peft_model_state_dict(model).items()}
merged = model.merge_and_unload()
after = weights_of(merged, LAYERS)

kohya = {}
for name, tensor in adapter.items():
    path, which = name.removeprefix("base_model.model.").rsplit(".lora_", 1)
    stem = "lora_unet_" + path.replace(".", "_")
    kohya[stem + (".lora_down.weight" if which[0] == "A" else ".lora_up.weight")] = tensor.half()
    kohya[stem + ".alpha"] = torch.tensor(ALPHA)

folder = pathlib.Path(sys.argv[1]) / "lora"
folder.mkdir(exist_ok=True)
save_file(base, folder / "base.safetensors")
save_file(after, folder / "merged.safetensors")
save_file(kohya, folder / "kohya.safetensors")
save_file(adapter, folder / "adapter_model.safetensors")
for name, (adapter, weights) in others.items():
    save_file(adapter, folder / f"{name}.safetensors")
    save_file(weights, folder / f"{name}-merged.safetensors")
# Large enough for both factors of LoKr to be products of rank 2.
torch.manual_seed(7)
wide = {
    "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q": torch.nn.Linear(36, 40, bias=False),
    "down_blocks.0.resnets.0.conv1": torch.nn.Conv2d(40, 36, (1, 3)),
}
wide_root = tree(wide)
wide_config = LoKrConfig(r=2, alpha=3.0, target_modules=list(wide), decompose_both=True, use_effective_conv2d=True)
save_file(weights_of(wide_root, wide), folder / "lokr-wide-base.safetensors")
adapter, weights = merged_by(wide_config, "lokr", wide_root, wide)
save_file(adapter, folder / "lokr-wide.safetensors")
save_file(weights, folder / "lokr-wide-merged.safetensors")
model.peft_config["default"].target_modules = sorted(targets)
(folder / "adapter_config.json").write_text('{"r": %d, "lora_alpha": %g}\n' % (RANK, ALPHA))
