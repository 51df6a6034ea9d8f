//! `skyscat plot filters`: what the wavelets of each scale let through.

use super::{POINTS, Plan};
use crate::Ending;
use crate::args::PlotFiltersArgs;
use crate::settings::Settings;
use anyhow::{Context, Result, ensure};
use skyscat::harmonic::{AlmField, Plan as Transform, SpectrumPower, spectrum};
use skyscat::healpix::{Nside, Ordering, reorder};
use skyscat::num::{Par, Seed};
use skyscat::wavelet::{FilterBank, KernelSize, Stencil, sphere};
use skyscat_plot::{Axes, Axis, Figure, PALETTE, Panel, Row, Series, Stroke};
use std::f64::consts::PI;

pub(super) fn run(args: PlotFiltersArgs) -> Result<Ending> {
    let given = Settings {
        output: args.output,
        plot: args.plot,
        run: args.common.run.clone(),
        ..Settings::default()
    };
    let plan = Plan::new(given, args.replace, &args.common)?;
    let nside = Nside::new(args.nside).context("--nside")?;
    ensure!(
        (1..=10_000).contains(&args.maps),
        "--maps {} is not allowed: allowed are 1 to 10000",
        args.maps
    );
    let par = Par::new(plan.settings.run.threads.expect("has a default"))?;
    let (mut above, mut below) = (Vec::new(), Vec::new());
    for side in [3, 5] {
        let kernel = KernelSize::from_side(side)?;
        let transfer = par.install(|| transfer(nside, kernel, args.maps, Seed(args.seed)))?;
        let title = format!("{side} × {side}, Nside {nside}");
        let [upper, lower] = panels(&title, &transfer);
        above.push(upper);
        below.push(lower);
    }
    let mut figure = Figure::new("", POINTS);
    figure.rows.push(Row { height: 190.0, panels: above });
    figure.rows.push(Row { height: 110.0, panels: below });
    plan.write("plot filters", &figure)
}

/// Power of the coefficients of each scale over that of the map, by ℓ: the sum over
/// orientations and over real and imaginary parts, the mean over white-noise maps.
fn transfer(nside: Nside, kernel: KernelSize, maps: usize, seed: Seed) -> Result<Vec<Vec<f64>>> {
    let bank = FilterBank { kernel, ..FilterBank::campeti2025() };
    let white = 4.0 * PI / nside.npix() as f64;
    let mut images: Vec<Vec<f64>> = (0..maps)
        .map(|map| seed.stream("white-noise").index(0, map as u64).normals(nside.npix()))
        .collect();
    let mut scales = Vec::new();
    let mut level = Some(nside);
    while let Some(nside) = level {
        let stencil = sphere::wavelets(nside, &bank)?;
        let lmax = 3 * nside.get() - 1;
        let transform = Transform::<f64>::new(nside, lmax, 0)?;
        let parts = 2 * bank.orientations;
        let mut scratch = transform.scratch(parts);
        let mut power = vec![0.0; lmax + 1];
        for image in &images {
            let fields = convolve(&stencil, image, nside)?;
            let mut alm = vec![0.0; transform.alm_len(parts)];
            transform.analysis(&fields, &mut alm, 0, &mut scratch);
            let mut found = vec![0.0; (lmax + 1) * parts];
            let field = AlmField { values: &alm, component: 0, components: 1, batch: parts };
            spectrum(transform.modes(), SpectrumPower::Two, field, field, &mut found);
            for (sum, parts) in power.iter_mut().zip(found.chunks_exact(parts)) {
                *sum += parts.iter().sum::<f64>() / (maps as f64 * white);
            }
        }
        scales.push(power);
        level = nside.coarser();
        if level.is_some() {
            let down = sphere::degrading(nside)?.after(&sphere::smoothing(nside, kernel));
            images = images.iter().map(|image| down.apply(image)).collect();
        }
    }
    Ok(scales)
}

/// Real and imaginary parts of all orientations, as one batch in RING.
fn convolve(stencil: &Stencil, image: &[f64], nside: Nside) -> Result<Vec<f64>> {
    let parts = 2 * stencil.orientations();
    let mut fields = vec![vec![0.0; nside.npix()]; parts];
    for pixel in 0..nside.npix() {
        let (columns, weights) = stencil.row(pixel);
        for (column, weights) in columns.iter().zip(weights.chunks_exact(parts)) {
            for (field, w) in fields.iter_mut().zip(weights) {
                field[pixel] += w * image[*column as usize];
            }
        }
    }
    let ring = fields.iter().map(|f| reorder(f, Ordering::Nest, Ordering::Ring));
    let ring = ring.collect::<Result<Vec<_>, _>>()?;
    Ok((0..nside.npix()).flat_map(|p| ring.iter().map(move |f| f[p])).collect())
}

/// The transfer of each scale, and their sum from the finest one on.
fn panels(title: &str, transfer: &[Vec<f64>]) -> [Panel; 2] {
    let mut upper =
        Axes::new(title, Axis::log("Multipole ℓ").bare(), Axis::log("C_{ℓ}/C_{ℓ}^{map}"));
    let mut lower = Axes::new("", Axis::log("Multipole ℓ"), Axis::linear("sum to scale j"));
    let mut sum = vec![0.0; transfer[0].len()];
    let x: Vec<f64> = (1..sum.len()).map(|l| l as f64).collect();
    // Room for the legend at the right.
    upper.x.range = Some((1.0, 5.0 * sum.len() as f64));
    lower.x.range = upper.x.range;
    upper.y.range = Some((1e-3, 3.0));
    for (j, scale) in transfer.iter().enumerate() {
        let stroke = Stroke::solid(1.3, PALETTE[j % PALETTE.len()]);
        let line = |y: &[f64], name: String| {
            let x = x[..y.len() - 1].to_vec();
            Series::Line { x, y: y[1..].to_vec(), stroke, name }
        };
        upper.series.push(line(scale, format!("j = {j}")));
        sum.iter_mut().zip(scale).for_each(|(s, t)| *s += t);
        lower.series.push(line(&sum, String::new()));
    }
    upper.legend = true;
    [Panel::Axes(upper), Panel::Axes(lower)]
}
