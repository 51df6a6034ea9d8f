//! The dominant orientation of each pixel of a data set, at each scale.
//!
//! With θ_l = 2πl/R and A_l the amplitude of orientation l, the phase of
//! Σ_l A_l e^{iθ_l} says from where orientations are counted (Campeti et al.
//! 2025, Appendix A.2). Statistics are then taken relative to it.

use crate::plan::Scattering;
use crate::{Definition, ScatteringError};
use ndarray::{ArrayView2, Axis};
use skyscat_autodiff::{Graph, Program, Purpose, Shape};
use skyscat_num::Par;
use skyscat_wavelet::{Modulus, Rotate, RotationTable, Sparse, sphere};
use std::sync::Arc;

/// How dominant orientations are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OrientationConfig {
    /// Use the first map only, as HealpixML does, instead of the root mean
    /// square over all maps.
    pub first_map_only: bool,
    /// Degradations over which cosine and sine are smoothed before the phase.
    pub smoothing_levels: u32,
    /// Degrade by the plain mean of the children, as HealpixML does here.
    pub plain_pyramid: bool,
    /// For the second tables, convolve the turned amplitudes A instead of the
    /// moduli of the turned bands, as HealpixML does here.
    pub turn_amplitudes: bool,
}

impl OrientationConfig {
    /// All maps, smoothed over one level.
    pub fn campeti2025() -> Self {
        Self {
            first_map_only: false,
            smoothing_levels: 1,
            plain_pyramid: false,
            turn_amplitudes: false,
        }
    }

    /// What HealpixML 1.0.0 does.
    pub fn healpixml() -> Self {
        Self {
            first_map_only: true,
            smoothing_levels: 0,
            plain_pyramid: true,
            turn_amplitudes: true,
        }
    }

    /// The one that goes with a definition.
    pub fn of(definition: Definition) -> Self {
        match definition {
            Definition::Paper => Self::campeti2025(),
            Definition::HealpixMl => Self::healpixml(),
        }
    }
}

/// Rotation tables of one field or pair, one a scale.
#[derive(Clone, Debug)]
pub struct Orientation {
    /// For the bands: one phase a pixel.
    pub(crate) first: Vec<Arc<RotationTable>>,
    /// For the moduli convolved again: one phase a pixel and new orientation.
    pub(crate) second: Vec<Arc<RotationTable>>,
}

impl Orientation {
    /// Finds the orientations of a data set: of one field (`b` absent) or of a
    /// pair. Maps are NEST, axes (map, pixel).
    ///
    /// # Errors
    /// [`ScatteringError::Size`] for no maps or a wrong number of pixels.
    pub fn find(
        scattering: &Scattering,
        config: OrientationConfig,
        a: ArrayView2<'_, f64>,
        b: Option<ArrayView2<'_, f64>>,
        par: &Par,
    ) -> Result<Self, ScatteringError> {
        let expected = scattering.nside.npix();
        for maps in std::iter::once(&a).chain(&b) {
            if maps.ncols() != expected || maps.nrows() == 0 || maps.nrows() != a.nrows() {
                return Err(ScatteringError::Size {
                    what: "a data set for orientations",
                    given: format!("{} maps of {} pixels", maps.nrows(), maps.ncols()),
                    expected: format!("maps of {expected} pixels, as many for both fields"),
                });
            }
        }
        let finder = Finder { scattering, config, a, b, par };
        let first = finder.tables(None)?;
        let second = finder.tables(Some(&first))?;
        Ok(Self { first, second })
    }

    /// From phases in radians: `first[scale][pixel]`, `second[scale][pixel][orientation]`.
    ///
    /// # Errors
    /// [`ScatteringError::Size`] if they do not fit the plan.
    pub fn from_phases(
        scattering: &Scattering,
        first: &[Vec<f64>],
        second: &[Vec<f64>],
    ) -> Result<Self, ScatteringError> {
        let r = scattering.orientations();
        for (groups, phases) in [(1, first), (r, second)] {
            let fits = phases.len() == scattering.scales()
                && phases.iter().zip(&scattering.levels).all(|(p, l)| p.len() == groups * l.pixels)
                && phases.iter().flatten().all(|p| p.is_finite());
            if !fits {
                return Err(ScatteringError::Size {
                    what: "orientation phases",
                    given: format!("{:?}", phases.iter().map(Vec::len).collect::<Vec<_>>()),
                    expected: format!("finite phases, {groups} a pixel of each scale"),
                });
            }
        }
        let tables = |groups, phases: &[Vec<f64>]| {
            phases.iter().map(|p| Arc::new(RotationTable::from_phases(r, groups, p))).collect()
        };
        Ok(Self { first: tables(1, first), second: tables(r, second) })
    }

    /// Tables for the bands, one a scale.
    pub fn first(&self) -> &[Arc<RotationTable>] {
        &self.first
    }

    /// Tables for the moduli convolved again, one a scale.
    pub fn second(&self) -> &[Arc<RotationTable>] {
        &self.second
    }

    pub(crate) fn check(&self, scattering: &Scattering) -> Result<(), ScatteringError> {
        let pixels = |tables: &[Arc<RotationTable>]| -> Vec<usize> {
            tables.iter().map(|t| t.pixels()).collect()
        };
        let expected: Vec<usize> = scattering.levels.iter().map(|l| l.pixels).collect();
        let r = scattering.orientations();
        let turns = self.first.iter().chain(&self.second).all(|t| t.orientations() == r);
        if pixels(&self.first) == expected && pixels(&self.second) == expected && turns {
            return Ok(());
        }
        Err(ScatteringError::Size {
            what: "an orientation",
            given: format!("scales of {:?} pixels", pixels(&self.first)),
            expected: format!("scales of {expected:?} pixels with {r} orientations"),
        })
    }
}

struct Finder<'a> {
    scattering: &'a Scattering,
    config: OrientationConfig,
    a: ArrayView2<'a, f64>,
    b: Option<ArrayView2<'a, f64>>,
    par: &'a Par,
}

impl Finder<'_> {
    /// Tables of the bands, or, given those, of the moduli convolved again.
    fn tables(
        &self,
        first: Option<&[Arc<RotationTable>]>,
    ) -> Result<Vec<Arc<RotationTable>>, ScatteringError> {
        let r = self.scattering.orientations();
        let groups = if first.is_some() { r } else { 1 };
        let powers = match first {
            Some(first) if self.config.turn_amplitudes => self.turned(first)?,
            _ => self.powers(first)?,
        };
        let levels = self.scattering.levels.iter().zip(powers);
        levels
            .map(|(level, powers)| {
                let mut cosine = vec![0.0; level.pixels * groups];
                let mut sine = cosine.clone();
                for (i, amplitudes) in powers.chunks_exact(r).enumerate() {
                    for (l, power) in amplitudes.iter().enumerate() {
                        let amplitude = signed_root(*power) / r as f64;
                        let (sin, cos) = (std::f64::consts::TAU * l as f64 / r as f64).sin_cos();
                        cosine[i] += amplitude * cos;
                        sine[i] += amplitude * sin;
                    }
                }
                let smooth = self.smoothing(level.nside)?;
                let (cosine, sine) =
                    (smoothed(&smooth, cosine, groups), smoothed(&smooth, sine, groups));
                let phases: Vec<f64> = sine.iter().zip(&cosine).map(|(s, c)| s.atan2(*c)).collect();
                Ok(Arc::new(RotationTable::from_phases(r, groups, &phases)))
            })
            .collect()
    }

    /// Down by the smoothing levels and up again; none at the coarsest scales.
    fn smoothing(
        &self,
        nside: skyscat_healpix::Nside,
    ) -> Result<Option<Vec<Sparse>>, ScatteringError> {
        let levels = self.config.smoothing_levels.min(nside.order().saturating_sub(1));
        if levels == 0 {
            return Ok(None);
        }
        let mut chain = Vec::new();
        let mut at = nside;
        for _ in 0..levels {
            chain.push(sphere::smoothing(at, self.scattering.config.bank.kernel));
            chain.push(sphere::degrading(at)?);
            at = at.coarser().expect("levels below the order");
        }
        chain.push(sphere::upgrading(at, levels)?);
        Ok(Some(chain))
    }

    /// Mean over the maps of Re(c^A c^B*), `[scale][pixel][group][orientation]`.
    fn powers(
        &self,
        first: Option<&[Arc<RotationTable>]>,
    ) -> Result<Vec<Vec<f64>>, ScatteringError> {
        let count = if self.config.first_map_only { 1 } else { self.a.nrows() };
        let mut sums: Vec<Vec<f64>> = Vec::new();
        let mut start = 0;
        while start < count {
            let maps = (count - start).min(16);
            let a = self.amplitudes(self.a, start..start + maps, first)?;
            let b = match self.b {
                Some(b) => &self.amplitudes(b, start..start + maps, first)?,
                None => &a,
            };
            if sums.is_empty() {
                sums = a.iter().map(|z| vec![0.0; z.len() / (2 * maps)]).collect();
            }
            for ((sum, a), b) in sums.iter_mut().zip(&a).zip(b) {
                // [channel][re, im][map]: Re(A B*) summed over the maps.
                let pairs = a.chunks_exact(2 * maps).zip(b.chunks_exact(2 * maps));
                for (sum, (a, b)) in sum.iter_mut().zip(pairs) {
                    *sum += a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>() / count as f64;
                }
            }
            start += maps;
        }
        Ok(sums)
    }

    /// |A turned ⋆ ψ|² of the amplitudes A that gave the first tables.
    fn turned(&self, first: &[Arc<RotationTable>]) -> Result<Vec<Vec<f64>>, ScatteringError> {
        let powers = self.powers(None)?;
        let levels = self.scattering.levels.iter().zip(first).zip(powers);
        levels
            .map(|((level, table), powers)| {
                let mut graph = Graph::new();
                let channels = powers.len() / level.pixels;
                let mut node = graph.input(Shape::real(level.pixels, channels));
                node = graph.apply(Rotate::new(table.clone()), &[node])?;
                node = graph.apply_shared(level.convolve.clone(), &[node])?;
                graph.output("turned", node);
                let graph = Arc::new(graph);
                let mut program = Program::<f64>::compile(graph, 1, Purpose::Values, self.par)?;
                program.evaluate(&powers.iter().map(|p| signed_root(*p)).collect::<Vec<_>>());
                let (_, values) = program.output("turned").expect("named above");
                Ok(values.chunks_exact(2).map(|z| z[0] * z[0] + z[1] * z[1]).collect())
            })
            .collect()
    }

    /// Complex bands (or moduli convolved again) of some maps at every scale.
    fn amplitudes(
        &self,
        maps: ArrayView2<'_, f64>,
        range: std::ops::Range<usize>,
        first: Option<&[Arc<RotationTable>]>,
    ) -> Result<Vec<Vec<f64>>, ScatteringError> {
        let scattering = self.scattering;
        let mut graph = Graph::new();
        let field = graph.input(Shape::real(scattering.nside.npix(), 1));
        let mut current = match &scattering.upgrade {
            Some(upgrade) => graph.apply_shared(upgrade.clone(), &[field])?,
            None => field,
        };
        for (scale, level) in scattering.levels.iter().enumerate() {
            let mut node = graph.apply_shared(level.convolve.clone(), &[current])?;
            if let Some(first) = first {
                node = graph.apply(Rotate::new(first[scale].clone()), &[node])?;
                node = graph.apply(Modulus::exact(), &[node])?;
                node = graph.apply_shared(level.convolve.clone(), &[node])?;
            }
            graph.output(scale.to_string(), node);
            let step = if self.config.plain_pyramid { &level.degrade } else { &level.down };
            if let Some(step) = step {
                current = graph.apply_shared(step.clone(), &[current])?;
            }
        }
        let count = range.len();
        let mut program =
            Program::<f64>::compile(Arc::new(graph), count, Purpose::Values, self.par)?;
        let chosen = maps.slice_axis(Axis(0), range.into());
        let variables: Vec<f64> = chosen.t().iter().copied().collect();
        program.evaluate(&variables);
        Ok((0..scattering.scales())
            .map(|scale| program.output(&scale.to_string()).expect("named above").1)
            .collect())
    }
}

/// sgn(x)√|x|.
fn signed_root(x: f64) -> f64 {
    x.abs().sqrt().copysign(x)
}

/// Applies a chain of matrices to each of `groups` interleaved maps.
fn smoothed(chain: &Option<Vec<Sparse>>, values: Vec<f64>, groups: usize) -> Vec<f64> {
    let Some(chain) = chain else { return values };
    let mut out = values.clone();
    for group in 0..groups {
        let map: Vec<f64> = values.iter().skip(group).step_by(groups).copied().collect();
        let map = chain.iter().fold(map, |map, matrix| matrix.apply(&map));
        out.iter_mut().skip(group).step_by(groups).zip(map).for_each(|(o, v)| *o = v);
    }
    out
}
