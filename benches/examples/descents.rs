//! Loss against iterations of one batch: other starts, memories, and variables scaled by
//! the inputs' spectra.
//!
//! ```sh
//! skyscat simulate --count 10 --seed 1 --output in.npy
//! cargo run --release -p skyscat-benches --example descents input=in.npy start=coarse
//! ```
//!
//! Other words: `start=noise` (white), `gaussian`, or `coarse` (white noise whose large
//! scales are those of a descent at a quarter of the resolution); `scaled=no` or `yes`;
//! `memory=20`, `steps=300`, `maps=10`, `seed=1`, `precision=f32`.

#![allow(clippy::print_stdout, reason = "an example reports what it measured")]

use ndarray::Array3;
use skyscat::autodiff::{Lbfgs, LbfgsConfig, Objective, Program, TermValue};
use skyscat::emulator::{BatchId, Config, Emulator, Init, Precision, Silent, Standardise};
use skyscat::harmonic::{Modes, Plan, Scratch};
use skyscat::healpix::{MapSet, Nside, Ordering, ring_to_nest_table};
use skyscat::io::read_npy;
use skyscat::num::{Par, Seed};
use std::collections::BTreeMap;
use std::error::Error;
use std::sync::Arc;
use std::time::Instant;

const ID: BatchId = BatchId { target: None, number: 0 };

type Outcome<T> = Result<T, Box<dyn Error>>;

/// Words `name=value` over what they are if not given.
struct Words(BTreeMap<String, String>);

impl Words {
    fn parse(words: impl Iterator<Item = String>) -> Outcome<Self> {
        let given = [
            ("input", ""),
            ("start", "noise"),
            ("scaled", "no"),
            ("memory", "20"),
            ("steps", "300"),
            ("maps", "10"),
            ("seed", "1"),
            ("precision", "f32"),
        ];
        let mut map = given.map(|(n, v)| (n.to_owned(), v.to_owned())).into();
        let known: &mut BTreeMap<String, String> = &mut map;
        for word in words {
            let (name, value) = word.split_once('=').ok_or("words are name=value")?;
            *known.get_mut(name).ok_or_else(|| format!("unknown word {word}"))? = value.to_owned();
        }
        Ok(Self(map))
    }

    fn text(&self, name: &str) -> &str {
        &self.0[name]
    }

    fn number(&self, name: &str) -> Outcome<u64> {
        Ok(self.text(name).parse()?)
    }
}

fn main() -> Outcome<()> {
    let words = Words::parse(std::env::args().skip(1))?;
    match words.text("precision") {
        "f64" => descend::<f64>(&words),
        _ => descend::<f32>(&words),
    }
}

fn descend<T: Precision>(words: &Words) -> Outcome<()> {
    let par = Par::new(0)?;
    let cube = read_npy(words.text("input").as_ref())?.into_dimensionality()?;
    let set = MapSet::new(Ordering::Ring, &["Q", "U"], cube)?;
    let config = Config {
        batch: words.number("maps")? as usize,
        lbfgs: LbfgsConfig {
            memory: words.number("memory")? as usize,
            ..LbfgsConfig::campeti2025()
        },
        init: if words.text("start") == "gaussian" { Init::Gaussian } else { Init::Noise },
        ..Config::campeti2025()
    };
    let seed = Seed(words.number("seed")?);
    let emulator = Emulator::new(&set, &[], config.clone(), seed, &par)?;
    let clock = Instant::now();
    let mut start = emulator.start(ID)?;
    if words.text("start") == "coarse" {
        start = with_large_scales(&emulator, &set, &config, start, (seed, &par))?;
    }
    let (maps, channels, pixels) = start.dim();
    let x: Vec<T> = start.view().permuted_axes([1, 2, 0]).iter().map(|&x| T::from_f64(x)).collect();
    let scale = match words.text("scaled") {
        "yes" => Some(Scale::new(&emulator, &set, (maps, channels, pixels))?),
        _ => None,
    };
    let mut objective = Scaled { program: emulator.program::<T>(ID)?, scale };
    let mut lbfgs = Lbfgs::start(config.lbfgs, objective.variables(x), &mut objective)?;
    let show = |at: u64, l: &Lbfgs<Vec<T>>| {
        let seconds = clock.elapsed().as_secs_f64();
        println!("{at:5} {:12.5e} {:6} evaluations {seconds:7.2} s", l.value, l.evaluations);
    };
    show(0, &lbfgs);
    for at in 1..=words.number("steps")? {
        if let Some(stop) = lbfgs.step(&mut objective) {
            println!("{stop:?}");
            break;
        }
        if at % 50 == 0 {
            show(at, &lbfgs);
        }
    }
    Ok(())
}

/// The start with the large scales of a descent at a quarter of the resolution: its own
/// means over sixteen pixels are replaced.
fn with_large_scales(
    emulator: &Emulator,
    set: &MapSet,
    config: &Config,
    start: Array3<f64>,
    (seed, par): (Seed, &Par),
) -> Outcome<Array3<f64>> {
    let nest = set.reordered(Ordering::Nest);
    let coarse = means(&emulator.standardiser().apply(nest.data().view()));
    let coarse = MapSet::new(Ordering::Nest, &["Q", "U"], coarse)?;
    let plain = Config { standardise: Some(Standardise::Global), steps: 200, ..config.clone() };
    let batch =
        Emulator::new(&coarse, &[], plain, seed, par)?.run::<f32>(ID, None, Arc::new(Silent))?;
    let change = &batch.maps - &means(&start);
    let mut out = start;
    for ((map, channel, pixel), value) in out.indexed_iter_mut() {
        *value += change[[map, channel, pixel / 16]];
    }
    Ok(out)
}

/// Means over the sixteen pixels below one of a quarter of the resolution, NEST.
fn means(maps: &Array3<f64>) -> Array3<f64> {
    let (count, channels, pixels) = maps.dim();
    Array3::from_shape_fn((count, channels, pixels / 16), |(m, c, p)| {
        (0..16).map(|i| maps[[m, c, 16 * p + i]]).sum::<f64>() / 16.0
    })
}

/// x = (1 + (4π/npix) Y D Yᵀ) y, a symmetric operator that scales the modes of degree ℓ by
/// about 1 + D_ℓ = (C_ℓ/C)^½, with C the mean of the inputs' spectra.
struct Scale {
    plan: Plan<f64>,
    scratch: Scratch<f64>,
    /// D of each mode.
    modes: Vec<f64>,
    /// NEST pixel of each RING pixel.
    nest: Vec<usize>,
    maps: usize,
}

impl Scale {
    fn new(
        emulator: &Emulator,
        set: &MapSet,
        (maps, channels, pixels): (usize, usize, usize),
    ) -> Outcome<Self> {
        assert_eq!(channels, 2, "Q and U");
        let nside = Nside::new(((pixels / 12) as f64).sqrt() as usize)?;
        let lmax = 2 * nside.get();
        let plan = Plan::<f64>::new(nside, lmax, 2)?;
        let nest = ring_to_nest_table(nside).iter().map(|&p| p as usize).collect();
        let mut own = Self { scratch: plan.scratch(1), plan, modes: Vec::new(), nest, maps: 1 };
        let inputs = set.reordered(Ordering::Nest);
        let inputs = emulator.standardiser().apply(inputs.data().view());
        let (mut sums, modes) = (vec![0.0; lmax + 1], Modes::new(lmax, lmax));
        for map in inputs.outer_iter() {
            let variables: Vec<f64> = map.iter().copied().collect();
            let alm = own.coefficients(&variables);
            for (i, l, m) in modes.iter() {
                let twice = if m == 0 { 1.0 } else { 2.0 };
                let power: f64 = alm[4 * i..4 * i + 4].iter().map(|a| a * a).sum();
                sums[l] += twice * power / (2 * l + 1) as f64;
            }
        }
        let mean = sums[2..].iter().sum::<f64>() / (lmax - 1) as f64;
        let factor = |l: usize| (sums[l] / mean).sqrt().clamp(0.3, 10.0) - 1.0;
        own.modes = modes.iter().map(|(_, l, _)| if l < 2 { 0.0 } else { factor(l) }).collect();
        own.maps = maps;
        own.scratch = own.plan.scratch(maps);
        Ok(own)
    }

    /// Yᵀ of variables `[channel][NEST pixel][map]`.
    fn coefficients(&mut self, x: &[f64]) -> Vec<f64> {
        let (maps, pixels) = (self.maps, self.nest.len());
        let mut ring = vec![0.0; x.len()];
        for (p, &nest) in self.nest.iter().enumerate() {
            for c in 0..2 {
                let from = &x[(c * pixels + nest) * maps..][..maps];
                ring[(2 * p + c) * maps..][..maps].copy_from_slice(from);
            }
        }
        let mut alm = vec![0.0; self.plan.alm_len(maps)];
        self.plan.adjoint_synthesis(&ring, &mut alm, &mut self.scratch);
        alm
    }

    fn apply(&mut self, x: &mut [f64]) {
        let (maps, pixels) = (self.maps, self.nest.len());
        let mut alm = self.coefficients(x);
        for (alm, &d) in alm.chunks_exact_mut(4 * maps).zip(&self.modes) {
            alm.iter_mut().for_each(|a| *a *= d * 4.0 * std::f64::consts::PI / pixels as f64);
        }
        let mut ring = vec![0.0; x.len()];
        self.plan.synthesis(&alm, &mut ring, &mut self.scratch);
        for (p, &nest) in self.nest.iter().enumerate() {
            for c in 0..2 {
                let to = &mut x[(c * pixels + nest) * maps..][..maps];
                let from = &ring[(2 * p + c) * maps..][..maps];
                to.iter_mut().zip(from).for_each(|(to, from)| *to += from);
            }
        }
    }
}

/// A program seen through scaled variables.
struct Scaled<T: Precision> {
    program: Program<T>,
    scale: Option<Scale>,
}

impl<T: Precision> Scaled<T> {
    /// Variables whose maps are about the given ones: D is undone mode by mode.
    fn variables(&mut self, x: Vec<T>) -> Vec<T> {
        let Some(scale) = &mut self.scale else { return x };
        let forward = scale.modes.clone();
        scale.modes.iter_mut().for_each(|d| *d = 1.0 / (1.0 + *d) - 1.0);
        let y = through(scale, &x);
        scale.modes = forward;
        y
    }
}

fn through<T: Precision>(scale: &mut Scale, x: &[T]) -> Vec<T> {
    let mut wide: Vec<f64> = x.iter().map(|x| x.to_f64()).collect();
    scale.apply(&mut wide);
    wide.into_iter().map(T::from_f64).collect()
}

impl<T: Precision> Objective<Vec<T>> for Scaled<T> {
    fn value_and_gradient(&mut self, y: &Vec<T>, gradient: &mut Vec<T>) -> f64 {
        let Some(scale) = &mut self.scale else {
            return self.program.value_and_gradient(y, gradient);
        };
        let value = self.program.value_and_gradient(&through(scale, y), gradient);
        *gradient = through(scale, gradient);
        value
    }

    fn report(&self) -> &[TermValue] {
        self.program.terms()
    }
}
