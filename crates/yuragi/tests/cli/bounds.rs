use std::fs;

use serde_json::Value;
use yuragi::{
    io::{Picture, checkpoint::Archive},
    numeric::fill,
};

use crate::program::Scratch;

/// Eighty pictures of 4×4 pixels, each one bright row, as IDX; `level` is the brightness.
fn stripes(scratch: &Scratch, name: &str, level: u8) {
    let mut bytes = vec![0, 0, 8, 3, 0, 0, 0, 80, 0, 0, 0, 4, 0, 0, 0, 4];
    bytes.extend((0..80 * 16).map(|i| if i / 4 % 4 == i / 16 % 4 { level } else { 0 }));
    fs::write(scratch.join(name), bytes).unwrap();
}

const SMALL: [&str; 8] = ["--hidden", "32", "--batch", "20", "--rate", "0.01", "--passes", "500"];

fn nats(report: &str, bound: &str) -> f64 {
    let report: Value = serde_json::from_str(report).unwrap();
    report[bound]["nats"]["value"].as_f64().unwrap()
}

#[test]
fn t24_an_autoencoder_learns_stripes_and_is_judged_and_drawn_from() {
    let scratch = Scratch::new();
    stripes(&scratch, "stripes", 255);
    let begin = ["train", "vae", "stripes", "--latent", "2", "--test", "stripes", "--out", "run"];
    let ended = scratch.succeed(begin.into_iter().chain(SMALL));
    assert_eq!(ended.out, "run/model.safetensors\n");
    assert!(ended.err.contains("80 examples of 4x4, a variational autoencoder of"), "{}", ended.err);
    for file in ["checkpoint.safetensors", "bound.tsv", "bound.png", "bound-samples.png", "test.tsv"] {
        assert!(scratch.join("run").join(file).exists(), "{file}");
    }
    // Four patterns have ln p = −ln 4 = −1.386 at best; sixteen independent pixels, −9.0.
    let [one, many] = ["1", "64"].map(|k| scratch.succeed(["bound", "run", "stripes", "-k", k, "--json"]).out);
    let [elbo, importance] = [nats(&many, "elbo"), nats(&many, "importance")];
    assert!(elbo > -3.0 && elbo <= importance && importance < -1.38, "{many}");
    assert_eq!(nats(&one, "elbo"), nats(&one, "importance"));
    let told = scratch.succeed(["bound", "run/model.safetensors", "stripes"]).out;
    assert!(told.contains("80 examples of stripes, 100 draws each") && told.contains("bits a number"), "{told}");
    let drawn = scratch.succeed(["sample", "run", "-n", "100", "--seed", "4"]).out;
    let rows = drawn.lines().filter(|line| line.split(',').all(|x| ["0", "1"].contains(&x))).count();
    assert!(rows >= 100 && drawn.lines().count() <= 101, "{drawn}");
    let stripe = |at: usize| (0..16).map(|i| if i / 4 == at { "1" } else { "0" }).collect::<Vec<_>>().join(",");
    let stripes = (0..4).map(stripe).collect::<Vec<_>>();
    // Independent pixels would make one stripe of 2000.
    let drawn = drawn.lines().filter(|line| stripes.iter().any(|stripe| stripe == line)).count();
    assert!(drawn >= 25, "{drawn}");
    for more in [&["-n", "9"][..], &["--walk", "5"]] {
        scratch.succeed([&["sample", "run", "-o", "sheet.png"], more].concat());
        assert!(Picture::open(scratch.join("sheet.png")).unwrap().width() > 3 * 4);
    }
    let told = scratch.succeed(["info", "run/model.safetensors"]).out;
    assert!(told.contains("variational autoencoder") && told.contains("32-2"), "{told}");
    // On from there, once more up and down.
    let on = ["train", "vae", "stripes", "--latent", "2", "--hidden", "32", "--schedule", "one-cycle", "--out", "on"];
    scratch.succeed(on.into_iter().chain(["--init", "run", "--rate", "1e-4", "--passes", "2"]));
    let elbo = nats(&scratch.succeed(["bound", "on", "stripes", "-k", "64", "--json"]).out, "elbo");
    assert!(elbo > -3.0, "{elbo}");
    let other = ["train", "vae", "stripes", "--latent", "3", "--init", "run", "--out", "other"];
    scratch.refuse(other, &["run/model.safetensors holds another network", "32", "200"]);
    assert!(!scratch.join("other").exists());
}

#[test]
fn half_precision_learns_a_bound_with_a_scaled_loss() {
    let scratch = Scratch::new();
    stripes(&scratch, "stripes", 255);
    let [vae, vdm] = [&["vae", "--hidden", "16"][..], &["vdm", "--channels", "16", "--blocks", "1"]].map(|model| {
        let begin = [&["train"], model, &["stripes", "--passes", "2", "--batch", "20", "--out", model[0]]].concat();
        scratch.succeed([&begin[..], &["--precision", "f16"]].concat());
        Archive::open(scratch.join(model[0]).join("checkpoint.safetensors")).unwrap()
    });
    let scale = |file: &Archive, name: &str| file.f32(name, &[]).map(|scale| scale[0].log2());
    for (file, name) in [(&vae, "scaling.scale"), (&vdm, "scaling.scale"), (&vdm, "scaling.2.scale")] {
        assert!(scale(file, name).unwrap().fract() == 0.0, "{name}");
    }
    assert!(scale(&vae, "scaling.2.scale").is_err());
    // On in single precision, and in half precision again.
    scratch.succeed(["train", "vae", "--resume", "vae"]);
    scratch.succeed(["bound", "vae", "stripes", "-k", "2", "--precision", "f16"]);
}

#[test]
fn t25_a_resumed_training_of_a_chain_has_the_same_weights() {
    let scratch = Scratch::new();
    stripes(&scratch, "stripes", 200);
    let begin = |out| {
        let flags = ["--latent", "3,2", "--batch", "20", "--passes", "400", "-k", "3", "--hidden", "8", "--out", out];
        ["train", "hvae", "stripes"].into_iter().chain(flags).collect::<Vec<_>>()
    };
    scratch.succeed(begin("whole"));
    let result = |run: &str, file: &str| fs::read(scratch.join(run).join(file)).unwrap();
    #[cfg(unix)]
    {
        let mut running = scratch.start(&begin("cut"), "80 examples");
        running.until(|| scratch.join("cut/checkpoint.safetensors").exists());
        running.signal("INT");
        let ended = running.end();
        assert_eq!(ended.code, Some(130), "{}", ended.err);
        assert!(ended.err.contains("yuragi train hvae --resume cut"), "{}", ended.err);
        scratch.succeed(["train", "hvae", "--resume", "cut", "--threads", "1"]);
        for file in ["checkpoint.safetensors", "model.safetensors"] {
            assert!(result("cut", file) == result("whole", file), "{file}");
        }
    }
    assert!(!result("whole", "model.safetensors").is_empty());
}

#[test]
fn t26_a_diffusion_model_learns_clouds_and_draws_them() {
    let scratch = Scratch::new();
    // Two clouds of deviation 1, at x = 0 and x = 20; y is 3 off.
    let mut noise = [0.0f32; 2000];
    fill::normal([1, 2], 3, 0, &mut noise);
    let row = |(i, xy): (usize, &[f32])| format!("{},{}\n", xy[0] + 20.0 * (i % 2) as f32, xy[1] - 3.0);
    fs::write(scratch.join("clouds.csv"), noise.chunks(2).enumerate().map(row).collect::<String>()).unwrap();
    let flags = ["--channels", "16", "--blocks", "1", "--rate", "0.005", "--passes", "60", "--gamma", "8"];
    let begin = ["train", "vdm", "clouds.csv", "--likelihood", "gaussian", "--out", "run"];
    scratch.succeed(begin.into_iter().chain(flags));
    assert!(scratch.join("run/schedule.png").exists());
    let report = scratch.succeed(["bound", "run", "clouds.csv", "-k", "20", "--json"]).out;
    // The law itself has −(ln 2 + 1 + ln 2π) = −3.53; one normal law of the same moments, −5.14.
    let elbo = nats(&report, "elbo");
    assert!(elbo < -3.4 && elbo > -5.0, "{report}");
    let terms = ["prior", "reconstruction", "diffusion"].map(|term| nats(&report, term));
    assert!((elbo + terms.iter().sum::<f64>()).abs() < 1e-3, "{report}");
    let drawn = scratch.succeed(["sample", "run", "-n", "200"]).out;
    let x: Vec<f64> = drawn.lines().filter_map(|line| line.split(',').next()?.parse().ok()).collect();
    let right = x.iter().filter(|&&x| x > 10.0).count();
    assert!(x.len() == 200 && (50..150).contains(&right), "{drawn}");
    let told = scratch.succeed(["info", "run"]).out;
    assert!(told.contains("a variational diffusion model"), "{told}");
    let bernoulli = ["train", "vdm", "clouds.csv", "--likelihood", "bernoulli", "--out", "new", "--scale", "100"];
    scratch.refuse(bernoulli, &["clouds.csv", "must be from 0 to 1"]);

    stripes(&scratch, "stripes", 255);
    let bernoulli = ["train", "vdm", "stripes", "--likelihood", "bernoulli", "--out", "new"];
    scratch.refuse(bernoulli, &["a diffusion model takes `logistic`"]);
    let small = ["--channels", "8", "--blocks", "1", "--passes", "2", "--batch", "40", "--out", "levels"];
    scratch.succeed(["train", "vdm", "stripes"].into_iter().chain(small));
    scratch.succeed(["sample", "levels", "--walk", "3", "-o", "strips.png"]);
    // Three by three pictures of 4×4, 2 apart.
    assert_eq!(Picture::open(scratch.join("strips.png")).unwrap().width(), 3 * 6 + 2);
}

#[test]
fn t24_what_does_not_fit_is_refused_in_one_line() {
    let scratch = Scratch::new();
    stripes(&scratch, "stripes", 255);
    fs::write(scratch.join("wide.csv"), "0,1,1\n1,0,0\n").unwrap();
    fs::write(scratch.join("many.csv"), "0,3\n1,0\n").unwrap();
    fs::write(scratch.join("parts.csv"), "0,0.3\n1,0\n").unwrap();
    scratch.succeed(["train", "vae", "stripes", "--passes", "1", "--latent", "2", "--hidden", "4", "--out", "run"]);
    let sixteen = "its examples have 3 numbers (3); the model's have 16 (4x4)";
    scratch.refuse(["bound", "run", "wide.csv"], &["wide.csv", sixteen]);
    scratch.refuse(["train", "vae", "many.csv", "--out", "new"], &["many.csv", "row 1, column 2 is 3", "from 0 to 1"]);
    let levels = ["train", "vae", "parts.csv", "--likelihood", "logistic", "--out", "new"];
    scratch.refuse(levels, &["parts.csv", "row 1, column 2", "multiple of 1/255"]);
    scratch.refuse(["train", "vae", "stripes", "-k", "0", "--out", "new"], &["the number of samples is 0", "from 1"]);
    scratch.refuse(["train", "vae", "wide.csv", "--conv", "--out", "new"], &["multiples of 4"]);
    scratch.refuse(["train", "vae", "stripes", "--out", "run"], &["run/checkpoint.safetensors exists", "--resume"]);
    scratch.refuse(["train", "hvae", "stripes", "--latent", "5", "--out", "new"], &["1 layer", "at least 2"]);
    scratch.refuse(["train", "vae", "--resume", "new"], &["nothing to resume"]);
    let other = scratch.run(["train", "vae", "--resume", "run", "stripes", "--rows", "40"]);
    assert!(other.err.contains("began with other data") && other.code == Some(1), "{}", other.err);
    fs::write(scratch.join("rows.csv"), "1,2\n2,3\n3,1\n").unwrap();
    scratch.succeed(["fit", "gmm", "rows.csv", "-k", "1"]);
    scratch.refuse(["bound", "gmm.safetensors", "rows.csv"], &["gmm.safetensors is no model with a bound"]);
    scratch.refuse(["sample", "gmm.safetensors", "--walk", "4", "-o", "a.png"], &["`--walk` needs latents"]);
    assert_eq!(scratch.run(["bound", "run", "stripes", "-k", "0"]).code, Some(2));
}
