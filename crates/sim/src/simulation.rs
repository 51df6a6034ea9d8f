//! The mission, chunk by chunk: coverage, maps with every systematic, templates.

use crate::bins::{Bins, Progress, Run};
use crate::config::{Config, Content};
use crate::focal_plane::{Horn, Member, horns};
use crate::pixels::nest_pixel;
use crate::scan::{Block, Line, Scan};
use crate::sky::Sky;
use crate::solve::{Coverage, MOMENTS, Masked, moments, times};
use crate::systematics::{self, Span, Systematic};
use crate::{Realisation, SimError, frame_rotation};
use ndarray::Array3;
use skyscat_healpix::{MapSet, Nside, Ordering, UNSEEN, nest2ring};

/// A validated mission, ready to be simulated.
#[derive(Debug)]
pub struct Simulation {
    config: Config,
    samples: u64,
    chunks: u64,
    scan: Scan,
    pub(crate) horns: Vec<Horn>,
    lines: Vec<Line>,
    systematics: Vec<Box<dyn Systematic>>,
    sky: Option<Sky>,
}

/// What one detector sees at one sample.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample {
    /// Line of sight in the frame of the maps.
    pub direction: [f64; 3],
    /// Pixel at the resolution of map-making, RING.
    pub pixel: usize,
    /// cos 2ψ, ψ from East towards North.
    pub cos2psi: f64,
    /// sin 2ψ.
    pub sin2psi: f64,
    /// The dipole, K.
    pub dipole_k: f64,
}

/// A binned map and what it is made of.
#[derive(Clone, Debug)]
pub struct BinnedMap {
    /// T, Q, U, one map, RING at `nside_out`, K_CMB; UNSEEN where nothing was solved.
    pub maps: MapSet,
    /// Hits, condition numbers and mask at the resolution of map-making.
    pub coverage: Coverage,
}

impl BinnedMap {
    /// What was masked.
    pub fn masked(&self) -> Masked {
        self.coverage.masked()
    }
}

/// Timelines of one horn over one chunk.
#[derive(Debug, Default)]
struct Timelines {
    pixel: Vec<u32>,
    cos2: Vec<f64>,
    sin2: Vec<f64>,
    /// Dipole and intensity of the sky.
    intensity: Vec<f64>,
    /// Q and U of the sky, if it is polarised.
    polarisation: [Vec<f64>; 2],
    /// One detector's ideal signal, and what the systematics add.
    ideal: Vec<f64>,
    excess: Vec<f64>,
    /// Σ_d w d (1, cos 2χ, sin 2χ).
    combined: Vec<[f64; 3]>,
}

/// Scratch of a thread.
pub(crate) struct Scratch<const N: usize> {
    block: Box<Block>,
    pub(crate) bins: Bins<N>,
    timelines: Timelines,
}

impl Simulation {
    /// Validates the settings and makes the tables of the scan.
    ///
    /// # Errors
    /// The first fault of [`Config::check`].
    pub fn new(config: Config) -> Result<Self, SimError> {
        config.check()?;
        let scan = Scan::new(&config, frame_rotation(&config.maps)?)?;
        let horns = horns(&config.detectors);
        let lines = horns.iter().map(|horn| scan.line(horn)).collect();
        Ok(Self {
            samples: config.samples()?,
            chunks: config.chunks()?,
            systematics: systematics::build(&config)?,
            sky: None,
            config,
            scan,
            horns,
            lines,
        })
    }

    /// With a sky beside the dipole.
    pub fn with_sky(mut self, sky: Sky) -> Self {
        self.sky = Some(sky);
        self
    }

    /// With one more systematic, after those of the configuration.
    pub fn with_systematic(mut self, systematic: Box<dyn Systematic>) -> Self {
        self.systematics.push(systematic);
        self
    }

    /// The settings.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Number of chunks.
    pub fn chunks(&self) -> u64 {
        self.chunks
    }

    pub(crate) fn sky(&self) -> Option<&Sky> {
        self.sky.as_ref()
    }

    pub(crate) fn scratch<const N: usize>(&self) -> Scratch<N> {
        let npix = 12 * self.config.maps.nside * self.config.maps.nside;
        Scratch { block: Block::new(), bins: Bins::new(npix), timelines: Timelines::default() }
    }

    /// First sample and length of a chunk; the last one may be short.
    fn span(&self, chunk: u64) -> (u64, usize) {
        let first = chunk * self.config.mission.chunk_samples;
        (first, (self.samples - first).min(self.config.mission.chunk_samples) as usize)
    }

    /// Visits the blocks of `len` samples from `first`, one horn.
    fn visit(
        &self,
        (first, len): (u64, usize),
        horn: usize,
        block: &mut Block,
        mut with: impl FnMut(&mut Block),
    ) {
        let mut done = 0;
        while done < len {
            done += self.scan.start(first + done as u64, len - done, block);
            self.scan.look(&self.lines[horn], block);
            with(block);
        }
    }

    /// What a detector sees at `count` samples from `first`.
    ///
    /// ```
    /// use skyscat_sim::{Config, Simulation, reference};
    /// let config = Config::campeti2025();
    /// let sample = Simulation::new(config.clone())?.observe(0, 1000, 1)[0];
    /// let literal = reference::pointing(&config, 0, 1000)?;
    /// assert!((sample.direction[2] - literal.theta_rad.cos()).abs() < 1e-14);
    /// # Ok::<(), skyscat_sim::SimError>(())
    /// ```
    ///
    /// # Panics
    /// If there is no such detector, or samples beyond the mission are asked for.
    pub fn observe(&self, detector: usize, first: u64, count: usize) -> Vec<Sample> {
        assert!(first + count as u64 <= self.samples, "the mission has {} samples", self.samples);
        let find = |h: &Horn| h.members.iter().find(|m| m.detector == detector).copied();
        let (horn, member) = (self.horns.iter().enumerate())
            .find_map(|(i, h)| find(h).map(|m| (i, m)))
            .unwrap_or_else(|| panic!("no detector {detector}"));
        let nside = Nside::new(self.config.maps.nside).expect("validated");
        let mut samples = Vec::with_capacity(count);
        self.visit((first, count), horn, &mut Block::new(), |block| {
            self.scan.see(block);
            for (j, &pixel) in block.pixel().iter().enumerate() {
                let (c, s) = (block.cos2()[j], block.sin2()[j]);
                samples.push(Sample {
                    direction: block.direction(j),
                    pixel: nest2ring(nside, pixel as usize),
                    cos2psi: c * member.cos2 - s * member.sin2,
                    sin2psi: s * member.cos2 + c * member.sin2,
                    dipole_k: block.signal()[j],
                });
            }
        });
        samples
    }

    /// Hits, condition numbers and mask, from the pointings alone.
    ///
    /// # Errors
    /// [`SimError::NoPixel`] if no pixel can be solved for.
    pub fn coverage(&self, run: Run<'_>) -> Result<Coverage, SimError> {
        self.coverage_of(run, Progress { done: 0, total: self.chunks })
    }

    pub(crate) fn coverage_of(&self, run: Run<'_>, pass: Progress) -> Result<Coverage, SimError> {
        let mut sums = vec![[0.0; MOMENTS]; 12 * self.config.maps.nside.pow(2)];
        let work = |scratch: &mut Scratch<5>, chunk| {
            let mut found = Vec::new();
            for (index, horn) in self.horns.iter().enumerate() {
                let Scratch { block, bins, .. } = scratch;
                self.visit(self.span(chunk), index, block, |block| {
                    for ((&p, &c), &s) in block.pixel().iter().zip(block.cos2()).zip(block.sin2()) {
                        bins.add(p, [1.0, c, s, c * c - s * s, 2.0 * c * s]);
                    }
                });
                found.extend(bins.drain().map(|(pixel, sum)| (pixel, moments(horn, sum))));
            }
            found
        };
        let take = |found: Vec<(u32, [f64; MOMENTS])>| add(&mut sums, found);
        run.in_order(pass, self.chunks, || self.scratch(), work, take);
        Coverage::new(&self.config.maps, sums.into_iter())
    }

    /// Σ s, Σ s cos 2ψ, Σ s sin 2ψ of one horn and chunk, by NEST pixel.
    ///
    /// s is the intensity: the dipole and the sky's T.
    pub(crate) fn intensity_sums(
        &self,
        chunk: u64,
        horn: usize,
        scratch: &mut Scratch<3>,
    ) -> Vec<(u32, [f64; 3])> {
        let Scratch { block, bins, .. } = scratch;
        self.visit(self.span(chunk), horn, block, |block| {
            self.scan.see(block);
            for (j, &pixel) in block.pixel().iter().enumerate() {
                let mut s = block.signal()[j];
                if let Some(sky) = &self.sky {
                    s += sky.t[nest_pixel(sky.grid, block.direction(j)) as usize];
                }
                bins.add(pixel, [s, s * block.cos2()[j], s * block.sin2()[j]]);
            }
        });
        bins.drain().collect()
    }

    /// One map by the full path: every sample of every detector, every systematic.
    ///
    /// Chunks stream through: memory is one chunk of samples a thread, and a few
    /// maps. The bits do not depend on the number of threads.
    ///
    /// # Errors
    /// [`SimError::NoPixel`] if no pixel can be solved for.
    pub fn map(&self, realisation: Realisation<'_>, run: Run<'_>) -> Result<BinnedMap, SimError> {
        const SUMS: usize = MOMENTS + 3;
        let mut sums = vec![[0.0; SUMS]; 12 * self.config.maps.nside.pow(2)];
        let work = |scratch: &mut Scratch<8>, chunk| {
            let mut found = Vec::new();
            for (index, horn) in self.horns.iter().enumerate() {
                self.fill(chunk, index, scratch);
                let Scratch { bins, timelines, .. } = scratch;
                for member in &horn.members {
                    self.observe_chunk(chunk, member, realisation, timelines);
                }
                timelines.bin(bins);
                found.extend(bins.drain().map(|(pixel, [n, c2, s2, c4, s4, t, q, u])| {
                    let [n, w, c2, s2, c4, s4] = moments(horn, [n, c2, s2, c4, s4]);
                    (pixel, [n, w, c2, s2, c4, s4, t, q, u])
                }));
            }
            found
        };
        let take = |found: Vec<(u32, [f64; SUMS])>| add(&mut sums, found);
        let pass = Progress { done: 0, total: self.chunks };
        run.in_order(pass, self.chunks, || self.scratch(), work, take);
        let moments = sums.iter().map(|s| std::array::from_fn(|k| s[k]));
        let coverage = Coverage::new(&self.config.maps, moments)?;
        let mut tqu = vec![[0.0; 3]; coverage.nside_out().npix()];
        for (pixel, sum) in sums.iter().enumerate() {
            if let Some((coarse, inverse)) = coverage.share(pixel) {
                let [.., t, q, u] = *sum;
                let solution = times(inverse, [t, q, u]);
                tqu[coarse].iter_mut().zip(solution).for_each(|(sum, x)| *sum += x);
            }
        }
        let nside = coverage.nside_out();
        let mut data = Array3::from_elem((1, 3, nside.npix()), UNSEEN);
        let signs = self.config.maps.convention.signs();
        for (pixel, tqu) in tqu.iter().enumerate().filter(|(p, _)| coverage.solved(*p)) {
            for k in 0..3 {
                data[[0, k, nest2ring(nside, pixel)]] = signs[k] * tqu[k];
            }
        }
        let maps = self.described(MapSet::new(Ordering::Ring, &["T", "Q", "U"], data)?);
        Ok(BinnedMap { maps, coverage })
    }

    /// Unit, frame and convention of what this simulation makes.
    fn described(&self, maps: MapSet) -> MapSet {
        let settings = &self.config.maps;
        maps.with_unit(Some("K_CMB".into()))
            .with_coordsys(Some(settings.frame.frame().to_string()))
            .with_polcconv(settings.convention.polcconv().map(str::to_owned))
    }

    /// Pixels, angles and signal of a horn over a chunk.
    fn fill<const N: usize>(&self, chunk: u64, horn: usize, scratch: &mut Scratch<N>) {
        let Scratch { block, timelines, .. } = scratch;
        timelines.clear();
        self.visit(self.span(chunk), horn, block, |block| {
            self.scan.see(block);
            timelines.pixel.extend_from_slice(block.pixel());
            timelines.cos2.extend_from_slice(block.cos2());
            timelines.sin2.extend_from_slice(block.sin2());
            timelines.intensity.extend_from_slice(block.signal());
            let Some(sky) = &self.sky else { return };
            let start = timelines.intensity.len() - block.pixel().len();
            for (j, s) in timelines.intensity[start..].iter_mut().enumerate() {
                let pixel = nest_pixel(sky.grid, block.direction(j)) as usize;
                *s += sky.t[pixel];
                for (lane, map) in timelines.polarisation.iter_mut().zip(sky.qu.iter().flatten()) {
                    lane.push(map[pixel]);
                }
            }
        });
        timelines.combined.resize(timelines.pixel.len(), [0.0; 3]);
    }

    /// Adds one detector's timeline to the horn's.
    fn observe_chunk(
        &self,
        chunk: u64,
        member: &Member,
        realisation: Realisation<'_>,
        timelines: &mut Timelines,
    ) {
        timelines.look(member);
        let span = Span {
            detector: member.detector,
            chunk,
            first_sample: self.span(chunk).0,
            rate_hz: self.config.mission.rate_hz,
            net_k_rts: self.config.detectors[member.detector].net_k_rts,
            realisation,
        };
        let Timelines { ideal, excess, combined, .. } = timelines;
        for systematic in &self.systematics {
            systematic.apply(&span, ideal, excess);
        }
        if self.config.maps.content == Content::Total {
            excess.iter_mut().zip(ideal.iter()).for_each(|(e, d)| *e += d);
        }
        let [w, w_cos, w_sin] = member.response();
        for (sum, d) in combined.iter_mut().zip(excess.iter()) {
            *sum = [sum[0] + w * d, sum[1] + w_cos * d, sum[2] + w_sin * d];
        }
    }
}

impl Timelines {
    fn clear(&mut self) {
        for lane in [&mut self.cos2, &mut self.sin2, &mut self.intensity] {
            lane.clear();
        }
        self.polarisation.iter_mut().for_each(Vec::clear);
        self.pixel.clear();
        self.combined.clear();
    }

    /// A detector's ideal signal T + Q cos 2(ψ + χ) + U sin 2(ψ + χ); no excess yet.
    fn look(&mut self, member: &Member) {
        self.excess.clear();
        self.excess.resize(self.intensity.len(), 0.0);
        self.ideal.clear();
        self.ideal.extend_from_slice(&self.intensity);
        let [q, u] = &self.polarisation;
        for (j, (q, u)) in q.iter().zip(u).enumerate() {
            let (c, s) = (self.cos2[j], self.sin2[j]);
            self.ideal[j] +=
                q * (c * member.cos2 - s * member.sin2) + u * (s * member.cos2 + c * member.sin2);
        }
    }

    /// Moments of ψ, and Σ d (1, cos 2(ψ + χ), sin 2(ψ + χ)), by pixel.
    fn bin(&self, bins: &mut Bins<8>) {
        let angles = self.cos2.iter().zip(&self.sin2);
        for ((&pixel, (&c, &s)), &[t, p, r]) in self.pixel.iter().zip(angles).zip(&self.combined) {
            let (c4, s4) = (c * c - s * s, 2.0 * c * s);
            bins.add(pixel, [1.0, c, s, c4, s4, t, p * c - r * s, p * s + r * c]);
        }
    }
}

/// Adds what a chunk found to the sums of the mission.
fn add<const N: usize>(sums: &mut [[f64; N]], found: Vec<(u32, [f64; N])>) {
    for (pixel, terms) in found {
        for (sum, term) in sums[pixel as usize].iter_mut().zip(terms) {
            *sum += term;
        }
    }
}
