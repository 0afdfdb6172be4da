//! The networks of Stable Diffusion against diffusers 0.42.1 and transformers 5.23.0 (`tests/golden/stable_diffusion.py`).

use std::fs;
use std::path::{Path, PathBuf};

use numbers::formula;
use yuragi_cpu::Cpu;
use yuragi_graph::{Backend, Graph, HostTensor, Params, Plan, Slice, SliceMut};
use yuragi_io::{checkpoint::Archive, lora::Lora, stable_diffusion as files};
use yuragi_models::stable_diffusion::{self as sd, Batch, Checkpoint, KlAutoencoder, TinyAutoencoder};

#[path = "../../../tests/golden/stable_diffusion.rs"]
mod numbers;

/// What every value may err by, relative to the largest of its tensor.
const BOUND: f32 = 1e-5;

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/stable_diffusion").join(name)
}

/// Those of every parameter of a graph.
fn weights(graph: &Graph) -> Params {
    let mut params = Params::new();
    for spec in graph.params() {
        params.insert(&spec.name, HostTensor::new(spec.shape, formula(&spec.name, &spec.shape)).unwrap());
    }
    params
}

/// The script's values of a pipeline.
struct Values(Archive);

impl Values {
    fn of(name: &str) -> Values {
        Values(Archive::open(golden(&format!("{name}-values.safetensors"))).unwrap())
    }

    fn shape(&self, name: &str) -> Vec<usize> {
        self.0.shape(name).unwrap()
    }

    fn f32(&self, name: &str) -> Vec<f32> {
        self.0.tensor(name).unwrap().to_f32()
    }

    fn i32(&self, name: &str) -> Vec<i32> {
        self.0.tensor(name).unwrap().to_values().unwrap()
    }

    /// A picture or latent with its channels last.
    fn last(&self, name: &str) -> Vec<f32> {
        let (shape, values) = (self.shape(name), self.f32(name));
        let [n, c, h, w] = shape[..] else { panic!("{name} has shape {shape:?}") };
        let at = |i: usize| (i / (h * w * c), i / c % (h * w), i % c);
        (0..n * c * h * w).map(at).map(|(n, pixel, channel)| values[(n * c + channel) * h * w + pixel]).collect()
    }
}

fn run(graph: &Graph, params: &Params, inputs: &[Slice<'_>]) -> Vec<Vec<f32>> {
    run_on(&Cpu::with_threads(1), graph, params, inputs)
}

fn run_on(cpu: &Cpu, graph: &Graph, params: &Params, inputs: &[Slice<'_>]) -> Vec<Vec<f32>> {
    let graph = graph.with_stored(|spec| params.get(&spec.name).map(HostTensor::dtype));
    let plan = cpu.compile(&graph).unwrap();
    let store = cpu.upload(params.clone()).unwrap();
    let mut state = plan.state(&store).unwrap();
    let count = |output: &yuragi_graph::Output| graph.node(output.node).shape.count();
    let mut outputs: Vec<Vec<f32>> = graph.outputs().iter().map(|o| vec![0.0; count(o)]).collect();
    let mut views: Vec<SliceMut<'_>> = outputs.iter_mut().map(|o| SliceMut::F32(o)).collect();
    plan.run(&mut state, &store, inputs, &mut views).unwrap();
    outputs
}

#[track_caller]
fn close(what: &str, have: &[f32], want: &[f32], bound: f32) {
    assert_eq!(have.len(), want.len(), "{what}");
    let size = want.iter().fold(0.0_f32, |m, v| m.max(v.abs()));
    let error = have.iter().zip(want).fold(0.0_f32, |m, (a, b)| m.max((a - b).abs()));
    println!("{what}: {:.1e}", error / size);
    assert!(error <= bound * size, "{what}: off by {error} of {size}");
}

/// Runs every network of a pipeline on the script's inputs.
fn holds(name: &str, model: &Checkpoint, params: impl Fn(&Graph) -> Params) {
    let values = Values::of(name);
    let texts = Batch { pictures: 2, size: [0, 0], chunks: 1, skip: 0 };
    let ids = values.i32("ids");
    let clip = model.text.iter().flatten().next().unwrap();
    let ends = clip.ends(&ids);
    let graph = sd::encode_text(model, texts).unwrap();
    let inputs = [Slice::I32(&ids), Slice::F32(&ends), Slice::I32(&ids), Slice::F32(&ends)];
    let text = run(&graph, &params(&graph), &inputs[..graph.inputs().len()]);
    close(&format!("{name}: tokens"), &text[0], &values.f32("tokens"), BOUND);
    close(&format!("{name}: pooled"), &text[1], &values.f32("pooled"), BOUND);

    let factor = model.step();
    let size = [6 * factor, 8 * factor];
    let graph = sd::denoise(model, Batch { pictures: 2, size, chunks: 1, skip: 0 }).unwrap();
    let (t, tokens, pooled) = (values.f32("t"), values.f32("tokens"), values.f32("pooled"));
    let all = values.last("x");
    let channels = model.unet.inputs;
    let part = |from: usize, to: usize| all.chunks_exact(channels).flat_map(|c| &c[from..to]).copied().collect();
    let (x, given): (Vec<f32>, Vec<f32>) = (part(0, 4), part(4, channels));
    let more: Vec<Vec<f32>> =
        ["numbers", "guidance"].map(|n| if values.0.contains(n) { values.f32(n) } else { vec![] }).into();
    let inputs: Vec<Slice<'_>> = graph
        .inputs()
        .iter()
        .map(|input| {
            Slice::F32(match input.name.as_str() {
                "x" => &x,
                "t" => &t,
                "tokens" => &tokens,
                "pooled" => &pooled,
                "numbers" => &more[0],
                "guidance" => &more[1],
                "given" => &given,
                other => panic!("{other}"),
            })
        })
        .collect();
    let prediction = run(&graph, &params(&graph), &inputs).remove(0);
    close(&format!("{name}: prediction"), &prediction, &values.last("prediction"), BOUND);

    if values.0.contains("latent") {
        let batch = Batch { pictures: 1, size, chunks: 1, skip: 0 };
        let graph = sd::encode(model, batch).unwrap();
        let encoded = run(&graph, &params(&graph), &[Slice::F32(&values.last("picture"))]);
        close(&format!("{name}: mean"), &encoded[0], &values.last("mean"), BOUND);
        close(&format!("{name}: deviation"), &encoded[1], &values.last("deviation"), BOUND);
        let graph = sd::decode(model, batch).unwrap();
        let decoded = run(&graph, &params(&graph), &[Slice::F32(&values.last("latent"))]);
        close(&format!("{name}: decoded"), &decoded[0], &values.last("decoded"), BOUND);
    }
}

#[test]
fn t32_a_folder_in_half_precision_is_what_diffusers_reads() {
    let opened = files::open(&golden("sd15")).unwrap();
    assert!(opened.unused.is_empty(), "{:?}", opened.unused);
    assert!(opened.params.iter().all(|(_, tensor)| tensor.dtype() == yuragi_graph::DType::F16));
    holds("sd15", &opened.model, |_| opened.params.clone());

    let values = Values::of("sd15");
    let graph = sd::encode_text(&opened.model, Batch { pictures: 2, size: [0, 0], chunks: 1, skip: 1 }).unwrap();
    let ids = values.i32("ids");
    let ends = opened.model.text[0].unwrap().ends(&ids);
    let text = run(&graph, &opened.params, &[Slice::I32(&ids), Slice::F32(&ends)]);
    close("sd15: tokens of the last block but one", &text[0], &values.f32("skipped"), BOUND);
}

#[test]
fn t32_a_single_file_with_other_names_is_what_diffusers_reads() {
    let opened = files::open(&golden("single.safetensors")).unwrap();
    assert_eq!(opened.unused, ["model_ema.decay"]);
    holds("single", &opened.model, |_| opened.params.clone());
    // What was stored in 8 bits is kept in 16.
    assert!(opened.params.iter().all(|(_, tensor)| tensor.dtype() == yuragi_graph::DType::F16));
}

#[test]
fn t32_a_single_file_of_xl_has_its_fused_maps_taken_apart() {
    // The file that the script made diffusers read, made again of the same formula.
    let names = fs::read_to_string(golden("xl-names.json")).unwrap();
    let names: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&names).unwrap();
    let mut file = yuragi_io::Checkpoint::default();
    for (stored, entry) in &names {
        let shape: Vec<usize> = serde_json::from_value(entry[0].clone()).unwrap();
        let parts: Vec<String> = serde_json::from_value(entry[1].clone()).unwrap();
        let transposed = stored.ends_with("text_projection");
        let mut part = shape.clone();
        part[0] /= parts.len();
        let mut values: Vec<f32> = parts.iter().flat_map(|name| formula(name, &part)).collect();
        if transposed {
            let (rows, columns) = (shape[0], shape[1]);
            values = (0..values.len()).map(|i| values[i % columns * rows + i / columns]).collect();
        }
        file.insert(stored, yuragi_io::Tensor::from_values(&shape, &values).unwrap());
    }
    let scratch = Scratch::new("xl");
    let path = scratch.0.join("xl.safetensors");
    file.save(&path).unwrap();
    let opened = files::open(&path).unwrap();
    assert!(opened.unused.is_empty(), "{:?}", opened.unused);
    holds("xl", &opened.model, |_| opened.params.clone());
}

#[test]
fn t32_networks_of_every_family_are_those_of_diffusers() {
    for name in ["sd21", "inpaint", "sdxl", "refiner"] {
        let model = files::extents(&golden(name)).unwrap();
        holds(name, &model, weights);
    }
}

#[test]
fn t32_the_tiny_autoencoder_is_that_of_diffusers() {
    let values = Values::of("taesd");
    let tiny = TinyAutoencoder { latent: 4, channels: 8, decoder: vec![2, 2, 1] };
    let graph = sd::preview(&tiny, 1, [4, 3]).unwrap();
    let decoded = run(&graph, &weights(&graph), &[Slice::F32(&values.last("latent"))]);
    close("decoded", &decoded[0], &values.last("decoded"), BOUND);
    // Its decoder from files: as diffusers names layers, and as the published file does, where a clamp is the first one.
    let scratch = Scratch::new("taesd");
    for (file, shift) in [("diffusers.safetensors", None), ("published.safetensors", Some(1))] {
        let mut written = yuragi_io::Checkpoint::default();
        for spec in graph.params() {
            let layer = spec.name.strip_prefix("taesd.").unwrap();
            let name = shift.map_or(layer.to_owned(), |shift: usize| {
                let (number, rest) = layer["decoder.layers.".len()..].split_once('.').unwrap();
                format!("{}.{rest}", number.parse::<usize>().unwrap() + shift)
            });
            let values = formula(&spec.name, &spec.shape);
            written.insert(&name, yuragi_io::Tensor::from_values(&spec.shape, &values).unwrap());
        }
        let path = scratch.0.join(file);
        written.save(&path).unwrap();
        let (opened, params) = files::open_tiny(&path).unwrap();
        assert_eq!((opened.latent, opened.channels, &opened.decoder), (4, 8, &tiny.decoder));
        let graph = sd::preview(&opened, 1, [4, 3]).unwrap();
        let decoded = run(&graph, &params, &[Slice::F32(&values.last("latent"))]);
        close(file, &decoded[0], &values.last("decoded"), BOUND);
    }
    let said = files::open_tiny(&golden("single.safetensors")).unwrap_err().to_string();
    assert!(said.contains("no decoder of TAESD"), "{said}");
    // Of several files none is taken alone.
    let shards = r#"{"weight_map": {"a": "one.safetensors", "b": "two.safetensors"}}"#;
    scratch.write("diffusion_pytorch_model.safetensors.index.json", shards);
    let said = files::open_tiny(&scratch.0).unwrap_err().to_string();
    assert!(said.contains("2 files"), "{said}");
}

/// A folder that is gone when it is dropped.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Scratch {
        let folder = std::env::temp_dir().join(format!("yuragi-stable-diffusion-{name}-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        Scratch(folder)
    }

    /// A copy of the golden folder.
    fn copy(name: &str) -> Scratch {
        fn copy(from: &Path, to: &Path) {
            fs::create_dir_all(to).unwrap();
            for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
                let to = to.join(entry.file_name());
                if entry.path().is_dir() {
                    copy(&entry.path(), &to);
                } else {
                    fs::write(to, fs::read(entry.path()).unwrap()).unwrap();
                }
            }
        }
        let scratch = Scratch::new(name);
        copy(&golden("sd15"), &scratch.0);
        scratch
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        fs::write(self.0.join(name), bytes).unwrap();
        self.0.join(name)
    }

    /// Replaces words of a file, which must be there.
    fn replace(&self, name: &str, old: &str, new: &str) {
        let text = fs::read_to_string(self.0.join(name)).unwrap();
        assert!(text.contains(old), "{name} has no {old}");
        self.write(name, text.replacen(old, new, 1));
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[track_caller]
fn refused(path: &Path, words: &[&str]) {
    let said = files::open(path).unwrap_err().to_string();
    assert!(!said.contains('\n') && said.len() < 800, "{said}");
    for word in words {
        assert!(said.contains(word), "{said:?} should say {word:?}");
    }
}

/// A file of a header and so many bytes of data.
fn archive(header: &str, data: usize) -> Vec<u8> {
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    bytes.resize(bytes.len() + data, 0);
    bytes
}

#[test]
fn t32_hostile_files_are_refused_in_one_line() {
    let scratch = Scratch::new("files");
    let single = fs::read(golden("single.safetensors")).unwrap();
    let length = u64::from_le_bytes(single[..8].try_into().unwrap()) as usize;
    let header = std::str::from_utf8(&single[8..8 + length]).unwrap();
    // The header with other words of the same length.
    let edited = |old: &str, new: &str| {
        assert!(header.contains(old) && old.len() == new.len(), "{old}");
        [&single[..8], header.replacen(old, new, 1).as_bytes(), &single[8 + length..]].concat()
    };
    let unet = |shape: &str, from: u64, to: u64| {
        format!(
            r#""model.diffusion_model.out.2.weight":{{"dtype":"F16","shape":{shape},"data_offsets":[{from},{to}]}}"#
        )
    };
    let other = r#""other":{"dtype":"F16","shape":[4],"data_offsets":[4,12]}"#;
    for (name, bytes, words) in [
        ("zip.ckpt", b"PK\x03\x04 and more".to_vec(), &["pickle", "python3 -c", "save_file"][..]),
        ("old.ckpt", b"\x80\x02}q\x00 and more".to_vec(), &["pickle"]),
        ("empty", vec![], &["cut short"]),
        ("short", single[..1000].to_vec(), &["cut short"]),
        ("cut", single[..single.len() - 1].to_vec(), &["cut short"]),
        ("past", [&[0xff; 7][..], &[0x7f], b"{}"].concat(), &["no safetensors header"]),
        ("overlap", archive(&format!("{{{},{other}}}", unet("[4]", 0, 8)), 12), &["begins at byte 4"]),
        ("vast", archive(&format!("{{{}}}", unet("[1152921504606846976]", 0, 8)), 8), &["out.2.weight", "8 bytes"]),
        (
            "overflow",
            archive(&format!("{{{}}}", unet("[4294967296,4294967296,4294967296]", 0, 8)), 8),
            &["out.2.weight"],
        ),
        ("else", archive(r#"{"x":{"dtype":"F16","shape":[4],"data_offsets":[0,8]}}"#, 8), &["model.diffusion_model"]),
        ("bare", archive(&format!("{{{}}}", unet("[4]", 0, 8)), 8), &["attends"]),
        ("integers", edited(r#""dtype":"F8_E4M3""#, r#""dtype":"I8"     "#), &["elements of type I8", "F8_E4M3"]),
        (
            "missing",
            edited("model.diffusion_model.out.0.weight", "model.diffusion_model.oat.0.weight"),
            &["lacks 1 of", "`unet.conv_norm_out.weight`"],
        ),
    ] {
        refused(&scratch.write(name, bytes), words);
    }
    refused(&scratch.0, &["holds no Stable Diffusion model", "unet/config.json"]);
    refused(&scratch.0.join("absent"), &["cannot read", "absent"]);
}

#[test]
fn t32_hostile_folders_are_refused_in_one_line() {
    for (number, (file, old, new, words)) in [
        ("unet/config.json", "{", "[", &["unet", "no JSON"][..]),
        ("unet/config.json", "    8,", "    1152921504606846976,", &["block_out_channels", "legal is 1 to 16384"]),
        ("unet/config.json", "    8,", "    9,", &["block_out_channels", "multiple of 4"]),
        ("unet/config.json", "    8,", "    -8,", &["`block_out_channels` is"]),
        ("unet/config.json", "\"cross_attention_dim\": 16", "\"cross_attention_dim\": 24", &["legal is 16"]),
        ("unet/config.json", "\"UNetMidBlock2DCrossAttn\"", "\"Other\"", &["`mid_block_type` is \"Other\""]),
        ("unet/config.json", "\"class_embed_type\": null", "\"class_embed_type\": \"timestep\"", &["class_embed_type"]),
        ("unet/config.json", "\"layers_per_block\": 1", "\"layers_per_block\": 2", &["lacks", "tensors"]),
        ("vae/config.json", "\"scaling_factor\": 0.18215", "\"scaling_factor\": 0", &["scaling_factor", "positive"]),
        ("vae/config.json", "\"latent_channels\": 4", "\"latent_channels\": 3", &["unet.out_channels", "legal is 3"]),
        ("text_encoder/config.json", "\"hidden_act\": \"quick_gelu\"", "\"hidden_act\": \"tanh\"", &["hidden_act"]),
        ("text_encoder/config.json", "\"num_hidden_layers\": 2", "\"num_hidden_layers\": 2e9", &["num_hidden_layers"]),
    ]
    .into_iter()
    .enumerate()
    {
        let scratch = Scratch::copy(&format!("folder{number}"));
        scratch.replace(file, old, new);
        refused(&scratch.0, words);
    }
}

#[test]
fn t32_shards_are_one_file_and_an_index_names_only_files_beside_it() {
    let scratch = Scratch::copy("shards");
    let file = scratch.0.join("unet/diffusion_pytorch_model.safetensors");
    let whole = Archive::open(&file).unwrap();
    let mut parts = [yuragi_io::Checkpoint::default(), yuragi_io::Checkpoint::default()];
    let mut map = Vec::new();
    for (number, name) in whole.names().into_iter().enumerate() {
        parts[number % 2].insert(name.clone(), whole.tensor(&name).unwrap().into_owned());
        map.push(format!(r#""{name}": "diffusion_pytorch_model-0000{}-of-00002.safetensors""#, number % 2 + 1));
    }
    drop(whole);
    let before = files::open(&scratch.0).unwrap();
    fs::remove_file(&file).unwrap();
    for (part, number) in parts.iter().zip(1..) {
        part.save(scratch.0.join(format!("unet/diffusion_pytorch_model-0000{number}-of-00002.safetensors"))).unwrap();
    }
    let index = "unet/diffusion_pytorch_model.safetensors.index.json";
    scratch.write(index, format!(r#"{{"metadata": {{}}, "weight_map": {{{}}}}}"#, map.join(", ")));
    let after = files::open(&scratch.0).unwrap();
    for (name, tensor) in before.params.iter() {
        assert_eq!(tensor.to_f32(), after.params.get(name).unwrap().to_f32(), "{name}");
    }

    for shard in ["diffusion_pytorch_model.safetensors.index.json", "../unet/x.safetensors", "/etc/x.safetensors", ".."]
    {
        scratch.write(index, format!(r#"{{"weight_map": {{"conv_in.weight": "{shard}"}}}}"#));
        refused(&scratch.0, &["index.json", "conv_in.weight", "no safetensors file beside it"]);
    }
    scratch.write(index, r#"{"weight_map": {"conv_in.weight": "gone.safetensors"}}"#);
    refused(&scratch.0, &["cannot read", "gone.safetensors"]);
    scratch.write(index, r#"{"weight_map": []}"#);
    refused(&scratch.0, &["index.json", "weight_map"]);
    fs::remove_file(scratch.0.join(index)).unwrap();
    refused(&scratch.0, &["unet", "no diffusion_pytorch_model.safetensors"]);
    scratch.write("unet/diffusion_pytorch_model.bin", "PK");
    refused(&scratch.0, &["pickle", "diffusion_pytorch_model.bin"]);
}

#[test]
fn t32_latents_are_read_and_written_as_diffusers_passes_them() {
    let scratch = Scratch::new("latents");
    let path = scratch.0.join("l.safetensors");
    let latents: Vec<Vec<f32>> = (0..2).map(|n| (0..24).map(|i| (100 * n + i) as f32).collect()).collect();
    files::save_latents(&path, &latents, [2, 3, 4]).unwrap();
    let archive = Archive::open(&path).unwrap();
    let tensor = archive.tensor("latents").unwrap();
    assert_eq!(tensor.shape(), [2, 4, 2, 3]);
    assert_eq!(tensor.to_f32()[..7], [0.0, 4.0, 8.0, 12.0, 16.0, 20.0, 1.0]);
    assert_eq!(files::read_latents(&path, [2, 3, 4]).unwrap(), latents);
    let said = files::read_latents(&path, [3, 2, 4]).unwrap_err().to_string();
    assert!(said.contains("[2, 4, 2, 3]") && said.contains("[1, 4, 3, 2]"), "{said}");
}

#[test]
fn t32_bands_are_the_bits_of_the_whole() {
    let mut model = files::open(&golden("sd15")).unwrap().model;
    model.vae = KlAutoencoder {
        channels: vec![32, 64, 64],
        layers: 1,
        groups: 8,
        attention: true,
        quantised: [true; 2],
        ..model.vae
    };
    let cpu = Cpu::with_threads(2).winograd(true);
    // Of the last, no band of rows is whole runs.
    for (size, bands) in [([64, 96], true), ([128, 200], true), ([40, 52], false)] {
        let batch = Batch { pictures: 1, size, chunks: 1, skip: 0 };
        let whole = sd::decode(&model, batch).unwrap();
        let latent: Vec<f32> = formula("latent", &[size[1] / 4, size[0] / 4, 4]).iter().map(|x| 4.0 * x).collect();
        let weights = weights(&whole);
        let decoded = |graph: &Graph| run_on(&cpu, graph, &weights, &[Slice::F32(&latent)]);
        let want = decoded(&whole);
        for pixels in [64, 5000] {
            let graph = sd::decode_in_bands(&model, batch, pixels).unwrap();
            assert!(!bands || pixels > 64 || graph.nodes().len() > whole.nodes().len(), "{size:?}");
            assert!(decoded(&graph) == want, "{size:?} in bands of {pixels} pixels");
        }
    }
    // What large pictures take.
    model.vae = KlAutoencoder { channels: vec![128, 256, 512, 512], layers: 2, groups: 32, ..model.vae };
    for side in [512, 1024, 2048] {
        let batch = Batch { pictures: 1, size: [side; 2], chunks: 1, skip: 0 };
        let graphs = [sd::decode(&model, batch).unwrap(), sd::decode_in_bands(&model, batch, sd::BAND).unwrap()];
        let [whole, bands] = graphs.map(|graph| cpu.compile(&graph).unwrap().memory().arena);
        println!("decoding {side}x{side} takes {} MiB whole, {} in bands", whole >> 20, bands >> 20);
        assert!(2 * bands < whole, "{bands} of {whole}");
    }
}

/// Whether the script adapts a weight.
fn is_adapted(name: &str) -> bool {
    const UNET: [&str; 6] = ["to_q", "to_out.0", "ff.net.0.proj", "proj_in", "conv1", "downsamplers.0.conv"];
    const TEXT: [&str; 3] = ["q_proj", "out_proj", "fc1"];
    let ends = if name.starts_with("unet.") { &UNET[..] } else { &TEXT };
    name.strip_suffix(".weight").is_some_and(|path| ends.iter().any(|end| path.ends_with(&format!(".{end}"))))
}

#[test]
fn t33_an_adapter_of_all_parts_of_xl_is_diffusers_in_every_spelling() {
    let model = files::extents(&golden("sdxl")).unwrap();
    let names = fs::read_to_string(golden("sdxl-lora-names.json")).unwrap();
    let ldm: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&names).unwrap();
    let [inputs, values] = ["sdxl", "sdxl-lora"].map(Values::of);
    let texts = Batch { pictures: 2, size: [0, 0], chunks: 1, skip: 0 };
    let graphs =
        [sd::encode_text(&model, texts).unwrap(), sd::denoise(&model, Batch { size: [12, 16], ..texts }).unwrap()];
    let mut plain = Params::new();
    for graph in &graphs {
        weights(graph).iter().for_each(|(name, tensor)| plain.insert(name, tensor.clone()));
    }
    for spelling in ["kohya", "ldm", "peft"] {
        let mut file = yuragi_io::Checkpoint::default();
        let mut add = |name: String, shape: &[usize], values: Vec<f32>| {
            file.insert(name, yuragi_io::Tensor::from_values(shape, &values).unwrap());
        };
        for (name, tensor) in plain.iter().filter(|(name, _)| is_adapted(name)) {
            let key = name.strip_suffix(".weight").unwrap();
            let (part, path) = key.split_once('.').unwrap();
            let window = &tensor.shape()[2..];
            let down = [&[2, tensor.shape()[1]], window].concat();
            let up = [&[tensor.shape()[0], 2], &vec![1; window.len()][..]].concat();
            let [a, mut b] = [("down", &down), ("up", &up)].map(|(end, shape)| formula(&format!("{key}.{end}"), shape));
            let inner = if part == "unet" { path.to_owned() } else { format!("text_model.{path}") };
            if spelling == "peft" {
                b.iter_mut().for_each(|x| *x *= 0.75);
                add(format!("{part}.{inner}.lora_A.weight"), &down, a);
                add(format!("{part}.{inner}.lora_B.weight"), &up, b);
                continue;
            }
            let inner = match part {
                "unet" if spelling == "ldm" => ldm[key].as_str().unwrap().to_owned(),
                _ => inner,
            };
            let start = match part {
                "unet" => "unet",
                "text_encoder" => "te1",
                _ => "te2",
            };
            let stem = format!("lora_{start}_{}", inner.replace('.', "_"));
            add(format!("{stem}.lora_down.weight"), &down, a);
            add(format!("{stem}.lora_up.weight"), &up, b);
            add(format!("{stem}.alpha"), &[], vec![1.5]);
        }
        let lora = Lora::new(Archive::from_bytes(file.to_bytes().unwrap()).unwrap()).unwrap();
        assert_eq!(lora.parts().len(), 3);
        let mut params = plain.clone();
        let merged = lora.merge(&mut params, 1.0).unwrap();
        assert!(merged.unused.is_empty() && merged.changed == lora.count(), "{spelling}: {:?}", merged.unused);
        let ids = inputs.i32("ids");
        let ends = model.text[0].unwrap().ends(&ids);
        let (ids, ends) = (Slice::I32(&ids), Slice::F32(&ends));
        let text = run(&graphs[0], &params, &[ids, ends, ids, ends]);
        close(&format!("{spelling}: pooled"), &text[1], &values.f32("pooled"), BOUND);
        let (x, t, numbers) = (inputs.last("x"), inputs.f32("t"), inputs.f32("numbers"));
        let fed: Vec<Slice<'_>> = graphs[1]
            .inputs()
            .iter()
            .map(|input| {
                Slice::F32(match input.name.as_str() {
                    "x" => &x,
                    "t" => &t,
                    "tokens" => &text[0],
                    "pooled" => &text[1],
                    "numbers" => &numbers,
                    other => panic!("{other}"),
                })
            })
            .collect();
        let prediction = run(&graphs[1], &params, &fed).remove(0);
        close(&format!("{spelling}: prediction"), &prediction, &values.last("prediction"), BOUND);
        let apart = prediction.iter().zip(inputs.last("prediction")).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(apart > 0.1, "{apart}");
    }
}
