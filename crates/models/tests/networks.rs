//! Sizes and shapes of the shipped networks, and what their settings say.

use yuragi_graph::{DType, Graph, Shape};
use yuragi_models::{
    Settings,
    autoencoder::Fine,
    latent_diffusion::{
        autoencoder_training, decode, decoder_training, denoise, diffusion_training, encode, encode_text,
    },
    settings::Error,
};
use yuragi_nn::optim::is_state;

fn weights(graph: &Graph) -> usize {
    graph.params().iter().filter(|p| !is_state(&p.name)).map(|p| p.shape.count()).sum()
}

fn shapes(graph: &Graph) -> (Vec<String>, Vec<String>) {
    let inputs = graph.inputs().iter().map(|i| format!("{} {} {}", i.name, i.dtype, i.shape));
    let output = |o: &yuragi_graph::Output| format!("{} {}", o.name, graph.node(o.node).shape);
    (inputs.collect(), graph.outputs().iter().map(output).collect())
}

#[test]
fn the_shipped_networks_fit_eight_megabytes_at_five_bits() {
    let settings = Settings::default();
    let of = |graph: Result<Graph, _>| weights(&graph.unwrap());
    let (text, unet) = (of(encode_text(&settings, 1)), of(denoise(&settings, 1)));
    let (encoder, decoder) = (of(encode(&settings, 1)), of(decode(&settings, 1)));
    assert_eq!([text, unet, encoder, decoder], [2_103_584, 9_272_452, 476_520, 473_004]);
    // Five bits, and a scale of 16 for each group of 192.
    assert!((text + unet + encoder + decoder) * (5 * 192 + 16) / 192 / 8 <= 7_900_000);
    assert_eq!(of(diffusion_training(&settings, 1)), text + unet);
    assert_eq!(of(autoencoder_training(&settings, 1)), encoder + decoder);
}

#[test]
fn a_finer_decoder_takes_the_same_latents_to_pictures_twice_as_large() {
    let plain = Settings::default();
    let mut fine = Settings { size: 128, ..plain.clone() };
    fine.autoencoder.fine = Fine { channels: 32, blocks: 1 };
    assert_eq!((fine.latent_size(), fine.autoencoder.factor()), (plain.latent_size(), 8));
    let names = |graph: &Graph| graph.params().iter().map(|spec| spec.name.clone()).collect::<Vec<_>>();
    assert_eq!(names(&encode(&fine, 1).unwrap()), names(&encode(&plain, 1).unwrap()));
    let decoder = decode(&fine, 1).unwrap();
    assert_eq!(shapes(&decoder), (vec!["latent f32 [1, 16, 16, 4]".into()], vec!["picture [1, 128, 128, 3]".into()]));
    assert!(names(&decoder).iter().all(|name| *name != "decoder.out.weight"));
    let (inputs, outputs) = shapes(&decoder_training(&fine, 2).unwrap());
    assert_eq!(inputs, ["picture f32 [2, 128, 128, 3]", "key u32 [2]", "hyper f32 [4]"]);
    assert_eq!(outputs, ["loss []", "l1 []", "mse []", "edges []", "norm []"]);

    // Files from before there were such levels do not name them.
    let mut pairs = plain.to_pairs();
    pairs.retain(|(key, _)| !key.ends_with(".fine"));
    assert_eq!(Settings::from_pairs(&pairs).unwrap(), plain);
    fine.size = 112;
    assert_eq!(fine.check().unwrap_err().to_string(), "setting `picture.size` is 112; legal is a multiple of 32");
}

#[test]
fn weights_are_in_memory_as_the_settings_say_where_they_only_draw() {
    let settings = Settings { weights: DType::BF16, ..Settings::default() };
    for graph in [encode, decode, encode_text, denoise] {
        let (graph, plain) = (graph(&settings, 1).unwrap(), graph(&Settings::default(), 1).unwrap());
        graph.verify().unwrap();
        assert!(plain.params().iter().all(|spec| spec.dtype == DType::F32));
        let large = |shape: Shape| shape.rank() >= 2 && shape.count() >= 2048;
        let dtype = |shape| if large(shape) { DType::BF16 } else { DType::F32 };
        assert!(graph.params().iter().all(|spec| spec.dtype == dtype(spec.shape)));
        assert!(graph.params().iter().any(|spec| spec.dtype == DType::BF16));
        let output = |graph: &Graph| graph.node(graph.outputs()[0].node).dtype;
        assert_eq!(output(&graph), output(&plain));
    }
    for step in [autoencoder_training, decoder_training, diffusion_training] {
        assert!(step(&settings, 1).unwrap().params().iter().all(|spec| spec.dtype == DType::F32));
    }
    assert_eq!(Settings::from_pairs(&settings.to_pairs()).unwrap(), Settings::default());
}

#[test]
fn graphs_have_the_documented_inputs_and_outputs() {
    let settings = Settings::default();
    let (inputs, outputs) = shapes(&autoencoder_training(&settings, 2).unwrap());
    assert_eq!(inputs, ["picture f32 [2, 64, 64, 3]", "key u32 [2]", "hyper f32 [4]"]);
    assert_eq!(outputs, ["loss []", "l1 []", "mse []", "edges []", "kl []", "norm []"]);
    let (inputs, outputs) = shapes(&diffusion_training(&settings, 2).unwrap());
    assert_eq!(inputs, ["latent f32 [2, 16, 16, 4]", "caption i32 [2, 24]", "key u32 [2]", "hyper f32 [4]"]);
    assert_eq!(outputs, ["loss []", "mse []", "colour []", "norm []"]);
    let (inputs, outputs) = shapes(&encode_text(&settings, 2).unwrap());
    assert_eq!(
        (inputs, outputs),
        (
            vec!["caption i32 [2, 24]".into()],
            vec!["tokens [2, 24, 224]".into(), "mask [2, 24]".into(), "pooled [2, 224]".into()]
        )
    );
    let (inputs, outputs) = shapes(&denoise(&settings, 2).unwrap());
    let expected =
        ["x f32 [2, 16, 16, 4]", "t f32 [2]", "tokens f32 [2, 24, 224]", "mask f32 [2, 24]", "pooled f32 [2, 224]"];
    assert_eq!(inputs, expected);
    assert_eq!(outputs, ["sample [2, 16, 16, 4]"]);
    for graph in [autoencoder_training(&settings, 2), diffusion_training(&settings, 2), decode(&settings, 1)] {
        graph.unwrap().verify().unwrap();
    }
}

#[test]
fn every_weight_is_updated_with_its_moments_and_its_average() {
    for graph in [autoencoder_training(&Settings::default(), 1), diffusion_training(&Settings::default(), 1)] {
        let graph = graph.unwrap();
        let own = graph.params().iter().filter(|p| !is_state(&p.name)).count();
        assert_eq!((graph.params().len(), graph.updates().len()), (4 * own, 4 * own));
    }
}

#[test]
fn settings_return_from_their_pairs() {
    let mut settings = Settings { size: 96, ..Settings::default() };
    settings.unet.channels = [48, 96, 160];
    settings.latents.mean = vec![0.1, -2.5, 1e-9, 3.0];
    settings.latents.deviation = vec![1.0, 0.3, 1.5e7, 0.1];
    settings.latents.colour = (0..15).map(|i| i as f32 / 7.0).collect();
    let mut pairs = settings.to_pairs();
    pairs.reverse();
    pairs.push(("licence".into(), "anything".into()));
    assert_eq!(Settings::from_pairs(&pairs), Ok(settings));
}

#[test]
fn faulty_settings_are_named() {
    let with = |key: &str, value: &str| {
        let mut pairs = Settings::default().to_pairs();
        pairs.iter_mut().filter(|(k, _)| k == key).for_each(|(_, v)| *v = value.into());
        Settings::from_pairs(&pairs).unwrap_err().to_string()
    };
    assert_eq!(with("picture.size", "65"), "setting `picture.size` is 65; legal is a multiple of 16");
    assert_eq!(with("text.heads", "9"), "setting `text.width` is 224; legal is a multiple of 9");
    assert_eq!(with("text.heads", "0"), "setting `text.heads` is 0; legal is 1 to 64");
    assert_eq!(with("unet.channels.half", "x"), "setting `unet.channels.half` is \"x\", which is no number");
    assert_eq!(with("latents.mean", "1,2"), "setting `latents.mean` is 2 numbers; legal is 4 numbers or none");
    assert_eq!(with("latents.mean", "1,2,3,nan"), "setting `latents.mean` is NaN; legal is finite");
    assert_eq!(with("latents.deviation", "1,2,0,1"), "setting `latents.deviation` is 0; legal is finite and positive");
    let pairs: [(&str, &str); 0] = [];
    assert_eq!(Settings::from_pairs(&pairs), Err(Error::Missing("picture.size")));
}

#[test]
fn impossible_networks_are_errors() {
    let change: [fn(&mut Settings); 7] = [
        |s| s.size = 0,
        |s| s.text.heads = 0,
        |s| s.unet.heads = 5,
        |s| s.unet.latent = 3,
        |s| s.autoencoder.channels[0] = 7,
        |s| s.autoencoder.fine.channels = 12,
        |s| s.latents.deviation = vec![0.0; 4],
    ];
    for change in change {
        let mut settings = Settings::default();
        change(&mut settings);
        let message = settings.check().unwrap_err().to_string();
        for graph in [autoencoder_training, decoder_training, diffusion_training, encode, decode, encode_text, denoise]
        {
            assert_eq!(graph(&settings, 2).unwrap_err().message, message);
        }
        let error = decode(&settings, 2).unwrap_err();
        assert!(error.location.file().ends_with("networks.rs"), "{error}");
    }
    for graph in [autoencoder_training, diffusion_training, encode, decode, encode_text, denoise] {
        assert!(graph(&Settings::default(), usize::MAX).is_err());
        graph(&Settings::default(), 0).unwrap().verify().unwrap();
    }
}
