//! T28, T30: configurations of diffusers: what they take, and what they refuse
//! in one line.

use yuragi_diffusion::config::{PredictionType, Value};
use yuragi_diffusion::{Choice, Config, Kind, Point};

fn stable_diffusion() -> Config {
    Config::stable_diffusion(PredictionType::Epsilon)
}

fn said(config: &Config, choice: Option<Choice>, steps: usize) -> String {
    config.plan(choice, steps).unwrap_err().to_string()
}

#[test]
fn t28_values_are_taken_by_their_keys() {
    let mut config = Config::default();
    for (key, value) in [
        ("_class_name", Value::Text("EulerDiscreteScheduler")),
        ("beta_schedule", Value::Text("scaled_linear")),
        ("trained_betas", Value::Null),
        ("num_train_timesteps", Value::Number(1000.0)),
        ("use_karras_sigmas", Value::Bool(true)),
        ("lambda_min_clipped", Value::Number(f64::NEG_INFINITY)),
        ("disable_corrector", Value::Null),
        ("use_dynamic_shifting", Value::Bool(false)),
    ] {
        assert_eq!(config.set(key, value), Ok(true), "{key}");
    }
    for key in ["_diffusers_version", "sample_size", ""] {
        assert_eq!(config.set(key, Value::Number(1.0)), Ok(false));
    }
    assert_eq!(config.own(), Ok(Kind::Euler));
    let solver = |class: &str, algorithm: &str, order: f64| {
        let mut config = Config::default();
        config.set("_class_name", Value::Text(class)).unwrap();
        config.set("algorithm_type", Value::Text(algorithm)).unwrap();
        config.set("solver_order", Value::Number(order)).unwrap();
        config.own().unwrap()
    };
    let multistep = "DPMSolverMultistepScheduler";
    assert_eq!(solver(multistep, "dpmsolver++", 2.0), Kind::DpmPlusPlus2M);
    assert_eq!(solver(multistep, "dpmsolver++", 3.0), Kind::DpmPlusPlus3M);
    assert_eq!(solver(multistep, "sde-dpmsolver++", 2.0), Kind::DpmPlusPlus2MSde);
    assert_eq!(solver(multistep, "dpmsolver", 2.0), Kind::Dpm2M);
    assert_eq!(solver("DPMSolverSinglestepScheduler", "dpmsolver++", 3.0), Kind::DpmPlusPlus3S);
    assert!(Config::default().own().is_err());
    for (key, value, line) in [
        ("beta_schedule", Value::Text("cosine"), "beta_schedule is \"cosine\"; it must be linear, scaled_linear, "),
        ("num_train_timesteps", Value::Number(0.5), "num_train_timesteps is 0.5; it must be a whole number"),
        ("num_train_timesteps", Value::Number(-1.0), "num_train_timesteps is -1; it must be a whole number"),
        ("beta_start", Value::Bool(true), "beta_start is true; it must be a finite number"),
        ("beta_start", Value::Number(f64::NAN), "beta_start is NaN; it must be a finite number"),
        ("clip_sample", Value::Text("yes"), "clip_sample is \"yes\"; it must be true or false"),
        ("trained_betas", Value::Number(1.0), "trained_betas is 1; it must be a list of numbers"),
        (
            "use_dynamic_shifting",
            Value::Bool(true),
            "use_dynamic_shifting is true; it must be false: it is not supported",
        ),
        ("disable_corrector", Value::Numbers(&[0.0]), "disable_corrector is a list of 1 numbers; it must be null"),
    ] {
        let error = config.set(key, value).unwrap_err().to_string();
        assert!(error.starts_with(line), "{error}");
    }
}

#[test]
fn t30_what_cannot_be_planned_is_said_in_a_line() {
    let config = stable_diffusion();
    let steps = "the number of steps is 0; it must be from 1 to the schedule's timesteps";
    assert_eq!(said(&config, Some(Kind::Euler.into()), 0), steps);
    for kind in Kind::all() {
        assert!(config.plan(Some(kind.into()), 0).is_err(), "{kind}");
        assert!(config.plan(Some(kind.into()), 1001).is_err(), "{kind}");
        assert!(config.plan(Some(kind.into()), usize::MAX).is_err(), "{kind}");
    }
    let line = "the number of steps is 51; it must be from 1 to the original_inference_steps of the distillation";
    assert_eq!(said(&config, Some(Kind::Lcm.into()), 51), line);
    assert_eq!(said(&config, Some(Kind::Ddim { eta: 2.0 }.into()), 5), "eta is 2; it must be from 0 to 1");
    assert!(said(&Config::default(), None, 5).starts_with("unknown sampler \"\"; legal are ddpm, "));
    let with = |key: &str, value: Value<'_>| {
        let mut config = stable_diffusion();
        config.set(key, value).unwrap();
        config
    };
    let euler = Some(Kind::Euler.into());
    let betas = with("trained_betas", Value::Numbers(&[0.1, 1.5]));
    assert!(said(&betas, euler, 1).starts_with("alpha_bar is -"));
    assert_eq!(said(&with("beta_end", Value::Number(1.5)), euler, 5), "beta_end is 1.5; it must be in (0, 1)");
    assert!(said(&with("num_train_timesteps", Value::Number(0.0)), euler, 1).starts_with("num_train_timesteps is 0"));
    assert!(
        said(&with("steps_offset", Value::Number(900.0)), Some(Kind::Ddim { eta: 0.0 }.into()), 5)
            .starts_with("steps_offset is 900")
    );
    // A network that tells the variance gives twice the numbers, picture by picture.
    let plan = with("variance_type", Value::Text("learned_range")).plan(Some(Kind::Ddpm.into()), 5).unwrap();
    let mut sampler = plan.sampler(6, 3).unwrap();
    assert_eq!(sampler.outputs(), 12);
    let error = sampler.advance(&mut [0.0; 6], &[0.0; 6], &mut [1, 2]).unwrap_err().to_string();
    assert_eq!(error, "the network's output has 6 values; it must have 12");
    assert!(plan.sampler(6, 4).unwrap_err().to_string().starts_with("the picture's length is 4"));
    let mut churned = with("s_churn", Value::Number(40.0));
    assert!(said(&churned, None, 5).contains("s_churn is 40; it must be 0: of these schedulers only Euler"));
    churned.set("_class_name", Value::Text("EulerDiscreteScheduler")).unwrap();
    churned.set("s_tmin", Value::Number(-1.0)).unwrap();
    assert_eq!(said(&churned, None, 5), "the churn's least sigma is -1; it must be finite and at least 0");
    let consistency = with("_class_name", Value::Text("CMStochasticIterativeScheduler"));
    assert!(consistency.plan(None, 5).is_ok() && said(&consistency, euler, 5).contains("a sampler of their own"));
    let runge_kutta = with("skip_prk_steps", Value::Bool(false));
    assert!(said(&runge_kutta, None, 3).contains("at least 4 for PNDM"));
    // ε says nothing without signal; v does.
    let mut zero = with("rescale_betas_zero_snr", Value::Bool(true));
    zero.set("timestep_spacing", Value::Text("trailing")).unwrap();
    let plan = zero.plan(Some(Kind::Ddim { eta: 0.0 }.into()), 5).unwrap();
    assert_eq!(plan.sampler(1, 1).unwrap_err().to_string(), "epsilon does not determine sample at alpha 0, sigma 1");
    let mut both = with("use_karras_sigmas", Value::Bool(true));
    both.set("use_beta_sigmas", Value::Bool(true)).unwrap();
    assert!(said(&both, euler, 5).contains("the only one of the spacings"));
}

/// Every sampler on every spacing, at any number of steps, begins, goes on and
/// ends with finite states.
#[test]
fn t30_every_sampler_takes_every_spacing_of_every_family() {
    let spacings = ["", "karras", "exponential", "beta", "sgm-uniform", "trailing", "leading", "linspace"];
    for class in ["PNDMScheduler", "FlowMatchEulerDiscreteScheduler", "EDMEulerScheduler"] {
        let mut config = stable_diffusion();
        config.set("_class_name", Value::Text(class)).unwrap();
        for kind in Kind::all() {
            for spacing in spacings {
                let spacing = (!spacing.is_empty()).then(|| spacing.parse().unwrap());
                for steps in [1, 2, 3, 4, 7, 30] {
                    let choice = Choice { kind, spacing };
                    let plan = match config.plan(Some(choice), steps) {
                        Ok(plan) => plan,
                        // One step has no room for both ends of a spacing.
                        Err(_) if steps == 1 => continue,
                        Err(error) => panic!("{choice} of {class} at {steps}: {error}"),
                    };
                    let mut sampler = plan.sampler(2, 2).unwrap_or_else(|error| panic!("{choice} of {class}: {error}"));
                    let mut state = [0.0; 2];
                    sampler.start(&mut state, &mut [1, 2]).unwrap();
                    while let Some(Point { time, .. }) = sampler.request() {
                        assert!(time.is_finite() && sampler.scale().is_finite());
                        let output = state.map(|x| (0.5 * sampler.scale() * x).sin());
                        sampler.advance(&mut state, &output, &mut [1, 2]).unwrap();
                    }
                    assert!(state.iter().all(|x| x.is_finite()), "{choice} of {class} at {steps}: {state:?}");
                }
            }
        }
    }
}
