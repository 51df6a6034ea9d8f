//! The emulator: inputs measured once, batches run on demand.

use crate::batch::{Batch, Precision, Progress, Settings, Start, descend};
use crate::graph::{BlockStats, Parts, StatGraph, Transforms, channel_std, variables};
use crate::saved::SavedDescent;
use crate::{BatchId, Config, EmulatorError, Init, Schedule, Standardiser, TargetMode};
use ndarray::{Array3, ArrayView3, Axis, concatenate};
#[cfg(feature = "gpu")]
use skyscat_autodiff::GpuProgram;
use skyscat_autodiff::{Cut, Graph, Objective, Part, Pieces, Program, Purpose, Ranks, Vector};
use skyscat_healpix::{MapSet, Nside, Ordering};
use skyscat_num::{Par, Seed};
use skyscat_scattering::{CoefficientTable, Kind, Orientation, Scattering, Selection};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// How well one block of coefficients of a batch agrees with its target.
#[derive(Clone, Debug, PartialEq)]
pub struct BlockMatch {
    /// Field or pair, "Q".
    pub field: String,
    /// Block.
    pub kind: Kind,
    /// rms(Ave_j Φ − Φ_target)/rms(Φ_target).
    pub relative_rms: f64,
}

/// A batch to run, where it was saved if it was, and who follows it.
pub type BatchRun = (BatchId, Option<SavedDescent>, Arc<dyn Progress>);

/// Inputs, standardised and measured, ready to run batches.
pub struct Emulator {
    config: Config,
    seed: Seed,
    pub(crate) par: Par,
    channels: Vec<String>,
    selection: Selection,
    scattering: Scattering,
    orientations: BTreeMap<String, Orientation>,
    standardiser: Standardiser,
    standardised: Array3<f64>,
    transforms: Transforms,
    stats: Vec<BlockStats>,
}

impl Emulator {
    /// Measures the inputs. `masks` are weights `[mask][pixel]` in NEST ordering
    /// under which scattering coefficients are taken, or empty for the full sky.
    ///
    /// # Errors
    /// [`EmulatorError`] for settings out of range, inputs that are not full-sky
    /// finite maps, too few of them, or constant pixels.
    pub fn new(
        inputs: &MapSet,
        masks: &[Vec<f64>],
        config: Config,
        seed: Seed,
        par: &Par,
    ) -> Result<Self, EmulatorError> {
        check_settings(&config)?;
        inputs.check_full_sky()?;
        let channels = inputs.channels().to_vec();
        let nest = inputs.reordered(Ordering::Nest);
        let how = config.standardise_for(inputs.n_maps());
        let standardiser = Standardiser::measure(nest.data(), &channels, how, config.std_floor)?;
        let standardised = standardiser.apply(nest.data());
        let scattering = Scattering::new(inputs.nside(), config.scattering, masks)?;
        let selection = Selection::all(channels.len());
        let orientations = match config.orientation {
            None => BTreeMap::new(),
            Some(how) => {
                find_orientations(&scattering, how, &channels, &selection, &standardised, par)?
            }
        };
        let transforms = Transforms::new(inputs.nside(), &channels)?;
        let mut emulator = Self {
            config,
            seed,
            par: par.clone(),
            channels,
            selection,
            scattering,
            orientations,
            standardiser,
            standardised,
            transforms,
            stats: Vec::new(),
        };
        emulator.use_sigma_for_one_input();
        let graph = StatGraph::build(&emulator.parts())?;
        emulator.stats = graph.measure(emulator.standardised.view(), par)?;
        Ok(emulator)
    }

    /// One input has no scatter to divide by.
    fn use_sigma_for_one_input(&mut self) {
        if self.inputs() < 2 && self.config.loss.sigma == crate::Sigma::Inputs {
            self.config.loss.sigma = crate::Sigma::One;
        }
    }

    /// The settings in force.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Number of inputs.
    pub fn inputs(&self) -> usize {
        self.standardised.len_of(Axis(0))
    }

    /// Resolution of the maps.
    pub fn nside(&self) -> Nside {
        self.scattering.nside()
    }

    /// Names of the channels.
    pub fn channels(&self) -> &[String] {
        &self.channels
    }

    /// The target mode in force.
    pub fn target(&self) -> TargetMode {
        self.config.target_for(self.inputs())
    }

    /// Mean and standard deviation by which maps are standardised.
    pub fn standardiser(&self) -> &Standardiser {
        &self.standardiser
    }

    /// Dominant orientations, if statistics are relative to them.
    pub fn orientations(&self) -> &BTreeMap<String, Orientation> {
        &self.orientations
    }

    /// Coefficients that do not vary over the inputs and are left out of the loss.
    ///
    /// # Errors
    /// [`EmulatorError::Setting`] for given σ that do not fit.
    pub fn left_out(&self) -> Result<Vec<String>, EmulatorError> {
        let mut list = Vec::new();
        for block in self.stats.iter().filter(|b| b.is_scattering()) {
            list.extend(block.left_out(&self.config.loss.sigma)?);
        }
        Ok(list)
    }

    /// The batches and draws for `count` maps.
    pub fn schedule(&self, count: usize) -> Schedule {
        Schedule::new(self.target(), self.inputs(), count, self.config.batch, self.seed)
    }

    /// The program of a batch in precision `T`, ready to run.
    ///
    /// # Errors
    /// [`EmulatorError::Graph`] if the settings leave no term.
    pub fn program<T: Precision>(&self, id: BatchId) -> Result<Program<T>, EmulatorError> {
        self.compile(id, Pieces::whole(self.config.batch))
    }

    /// The same for one rank's share of the batch.
    ///
    /// # Errors
    /// As [`Emulator::program`].
    pub fn cut_program<T: Precision>(
        &self,
        id: BatchId,
        cut: Cut,
    ) -> Result<Program<T>, EmulatorError> {
        self.compile(id, Pieces::of_rank(cut))
    }

    fn compile<T: Precision>(
        &self,
        id: BatchId,
        maps: Pieces,
    ) -> Result<Program<T>, EmulatorError> {
        let maps = maps.at_once(self.config.at_once.unwrap_or(self.config.batch));
        Ok(Program::compile_pieces(self.graph(id)?, maps, Purpose::Gradient, &self.par)?)
    }

    /// The same on a GPU, in its precision, for several batches side by side, with the
    /// scratch that the device has room for ([`GpuProgram::room`]).
    ///
    /// # Errors
    /// As [`Emulator::program`]; [`EmulatorError::Gpu`] if it does not fit.
    ///
    /// # Panics
    /// If there is no batch.
    #[cfg(feature = "gpu")]
    pub fn gpu_program(
        &self,
        ids: &[BatchId],
        device: &Arc<skyscat_gpu::Device>,
    ) -> Result<GpuProgram, EmulatorError> {
        let room = self.room_on_gpu((self.config.batch, ids.len()), device)?;
        self.gpu_program_within(ids, room, device)
    }

    /// The same, with this room for each piece of scratch.
    ///
    /// # Errors
    /// As [`Emulator::gpu_program`].
    ///
    /// # Panics
    /// If there is no batch.
    #[cfg(feature = "gpu")]
    pub fn gpu_program_within(
        &self,
        ids: &[BatchId],
        room: u64,
        device: &Arc<skyscat_gpu::Device>,
    ) -> Result<GpuProgram, EmulatorError> {
        let graphs = ids.iter().map(|&id| self.graph(id)).collect::<Result<Vec<_>, _>>()?;
        let (batch, device) = (self.config.batch, device.clone());
        Ok(GpuProgram::compile_groups(&graphs, batch, room, device)?)
    }

    /// Statistics and loss of a batch.
    pub(crate) fn graph(&self, id: BatchId) -> Result<Arc<Graph>, EmulatorError> {
        let mut stat = StatGraph::build(&self.parts())?;
        for (block, stats) in stat.blocks.iter().zip(&self.stats) {
            stats.add_terms(&mut stat.graph, block, &self.config.loss, id.target)?;
        }
        stat.graph.clear_outputs();
        Ok(Arc::new(stat.graph))
    }

    /// Where a batch starts: standardised variables.
    ///
    /// # Errors
    /// [`EmulatorError::Setting`] for given maps of the wrong size.
    pub fn start(&self, id: BatchId) -> Result<Array3<f64>, EmulatorError> {
        let shape = (self.config.batch, self.channels.len(), self.nside().npix());
        match &self.config.init {
            Init::Noise => Ok(self.noise(id, shape)),
            Init::Gaussian => self.gaussian(id, shape),
            Init::Maps(maps) => {
                let (count, channels, pixels) = maps.dim();
                if count == 0 || channels != shape.1 || pixels != shape.2 {
                    return Err(EmulatorError::Setting {
                        name: "init",
                        given: format!("{count} maps × {channels} × {pixels}"),
                        allowed: "maps with the channels and pixels of the inputs",
                    });
                }
                let first = id.number * shape.0;
                let chosen: Vec<usize> = (0..shape.0).map(|j| (first + j) % count).collect();
                Ok(self.standardiser.apply(maps.select(Axis(0), &chosen).view()))
            }
        }
    }

    /// White noise with the target's standard deviation in each channel; for an
    /// average target that of an input drawn at random.
    fn noise(&self, id: BatchId, shape: (usize, usize, usize)) -> Array3<f64> {
        let target = match id.target {
            Some(target) => target,
            None => {
                let mut stream = self.seed.stream("start-level").index(0, id.number as u64);
                stream.below(self.inputs())
            }
        };
        let std = channel_std(self.standardised.view());
        let owner = id.target.map_or(u64::MAX, |t| t as u64);
        let mut maps = Array3::zeros(shape);
        for (j, mut map) in maps.outer_iter_mut().enumerate() {
            let member = (id.number * shape.0 + j) as u64;
            let mut stream = self.seed.stream("initial-noise").index(owner, member);
            for (c, mut channel) in map.outer_iter_mut().enumerate() {
                channel.mapv_inplace(|_: f64| stream.normal() * std[[target, c]]);
            }
        }
        maps
    }

    /// Isotropic Gaussian fields with the spectra of the inputs' mean.
    fn gaussian(
        &self,
        id: BatchId,
        shape: (usize, usize, usize),
    ) -> Result<Array3<f64>, EmulatorError> {
        let owner = id.target.map_or(u64::MAX, |t| t as u64);
        let physical = self.standardiser.undo(self.standardised.view());
        let streams = (0..shape.0).map(|j| {
            let member = (id.number * shape.0 + j) as u64;
            self.seed.stream("initial-gaussian").index(owner, member)
        });
        let maps = crate::gaussian::fields(
            self.nside(),
            &self.channels,
            physical.view(),
            streams.collect(),
        )?;
        Ok(self.standardiser.apply(maps.view()))
    }

    /// Runs a batch from its start, or from where it was saved. One that comes upon
    /// numbers that are not finite ends in its last good state ([`Batch::failed`]).
    ///
    /// # Errors
    /// [`EmulatorError::Descent`] if the loss is not finite at the start or saving
    /// fails; [`EmulatorError::Saved`] for a state that does not fit.
    pub fn run<T: Precision>(
        &self,
        id: BatchId,
        saved: Option<SavedDescent>,
        progress: Arc<dyn Progress>,
    ) -> Result<Batch, EmulatorError> {
        let make = |x: &[f64]| Ok(x.iter().map(|&x| T::from_f64(x)).collect::<Vec<T>>());
        let interrupt = progress.interrupt();
        self.drive((id, saved, progress), self.program::<T>(id)?, make, (&self.par, interrupt))
    }

    /// Runs a batch together with other ranks, each of which calls this with the same
    /// batch and the same saved state, and has some of its maps. All have the whole batch
    /// in the end, in bits that do not depend on their number; those of
    /// [`Emulator::run`] agree to rounding. An interrupt of one stops all.
    ///
    /// # Errors
    /// As [`Emulator::run`]; [`EmulatorError::Setting`] for more ranks than maps.
    pub fn run_over_ranks<T: Precision>(
        &self,
        (id, saved, progress): BatchRun,
        ranks: Arc<dyn Ranks>,
    ) -> Result<Batch, EmulatorError> {
        let maps = self.config.batch;
        let cut = Cut::new(ranks, maps, progress.interrupt());
        let cut = cut.ok_or_else(|| EmulatorError::Setting {
            name: "batch",
            given: maps.to_string(),
            allowed: "at least one map for each rank",
        })?;
        let program = self.cut_program::<T>(id, cut.clone())?;
        let make = |x: &[f64]| Ok(Part::<T>::of(x, &cut));
        self.drive((id, saved, progress), program, make, (&self.par, cut.agreed()))
    }

    /// Runs several batches side by side on a GPU, in its precision: loss, gradient and
    /// the descents themselves. Each has the bits that it would have alone.
    ///
    /// # Errors
    /// As [`Emulator::run`] for each batch; [`EmulatorError::Lost`] if the device is
    /// lost on the way; [`EmulatorError::Gpu`] for all if the program does not fit on it.
    ///
    /// # Panics
    /// If there is no batch.
    #[cfg(feature = "gpu")]
    pub fn run_on_gpu(
        &self,
        runs: Vec<BatchRun>,
        device: &Arc<skyscat_gpu::Device>,
    ) -> Result<Vec<Result<Batch, EmulatorError>>, EmulatorError> {
        let ids: Vec<BatchId> = runs.iter().map(|run| run.0).collect();
        let seats = self.gpu_program(&ids, device)?.seats();
        // Each descent waits for the others, so each has a thread, and one for its vectors.
        let drive = |run: BatchRun, seat: skyscat_autodiff::Seat| {
            let failed = |e: skyscat_num::ParError| EmulatorError::Descent {
                batch: run.0.to_string(),
                reason: e.to_string(),
            };
            let par = Par::new(1).map_err(failed)?;
            let maker = seat.maker();
            let make = |x: &[f64]| Ok(maker.vector(x)?);
            let interrupt = run.2.interrupt();
            self.drive(run, seat, make, (&par, interrupt))
        };
        Ok(std::thread::scope(|scope| {
            let threads: Vec<_> = (runs.into_iter().zip(seats))
                .map(|(run, seat)| scope.spawn(move || drive(run, seat)))
                .collect();
            let join =
                |t: std::thread::ScopedJoinHandle<'_, _>| t.join().expect("no descent panics");
            threads.into_iter().map(join).collect()
        }))
    }

    fn drive<V: Vector + Send, O: Objective<V> + Send>(
        &self,
        (id, saved, progress): BatchRun,
        objective: O,
        make: impl Fn(&[f64]) -> Result<V, EmulatorError>,
        (par, interrupt): (&Par, Arc<AtomicBool>),
    ) -> Result<Batch, EmulatorError> {
        let expected = self.channels.len() * self.nside().npix() * self.config.batch;
        let start = match saved {
            None => Start::At(variables(self.start(id)?.view())),
            Some(saved) => {
                let (vectors, given) = (saved.vectors.count(), saved.vectors.length());
                if given != expected {
                    let what = "number of variables";
                    return Err(EmulatorError::Saved { what, given, expected });
                }
                if vectors < 2 || vectors % 2 == 1 {
                    let what = "number of vectors";
                    return Err(EmulatorError::Saved { what, given: vectors, expected: 2 });
                }
                Start::From(saved)
            }
        };
        let settings = Settings {
            id,
            lbfgs: self.config.lbfgs,
            steps: self.config.steps,
            plateau: self.config.plateau,
            par: par.clone(),
            interrupt,
        };
        let ended = descend(objective, make, start, &settings, progress)?;
        let shape = (self.channels.len(), self.nside().npix(), self.config.batch);
        let x = Array3::from_shape_vec(shape, ended.x).expect("as many as variables");
        let maps = self.standardiser.undo(x.view().permuted_axes([2, 0, 1]));
        Ok(Batch {
            id,
            maps: maps.as_standard_layout().into_owned(),
            history: ended.history,
            terms: ended.terms,
            evaluations: ended.evaluations,
            stop: ended.stop,
            interrupted: ended.interrupted,
            failed: ended.failed,
            saved: ended.saved,
        })
    }

    /// How well the mean coefficients of a batch agree with its target, for each
    /// block of S1 to S4.
    ///
    /// # Errors
    /// [`EmulatorError::Scattering`] if the batch has other channels or pixels.
    pub fn block_matches(&self, batch: &Batch) -> Result<Vec<BlockMatch>, EmulatorError> {
        let maps = self.standardiser.apply(batch.maps.view());
        let found = self.coefficients(maps.view())?;
        let inputs = match batch.id.target {
            None => self.standardised.view(),
            Some(t) => self.standardised.slice_axis(Axis(0), (t..t + 1).into()),
        };
        let target = self.coefficients(inputs)?;
        let pairs = found.iter().zip(&target).filter(|(f, _)| f.kind != Kind::S0);
        Ok(pairs
            .map(|(found, target)| {
                let mean = |t: &CoefficientTable| t.data.mean_axis(Axis(0)).expect("maps");
                let (found_mean, target_mean) = (mean(found), mean(target));
                let difference: f64 =
                    (&found_mean - &target_mean).iter().map(|z| z.norm_sqr()).sum();
                let size: f64 = target_mean.iter().map(|z| z.norm_sqr()).sum();
                BlockMatch {
                    field: found.field.clone(),
                    kind: found.kind,
                    relative_rms: (difference / size).sqrt(),
                }
            })
            .collect())
    }

    fn coefficients(
        &self,
        maps: ArrayView3<'_, f64>,
    ) -> Result<Vec<CoefficientTable>, EmulatorError> {
        let how = (16, &self.par);
        Ok(self.scattering.compute(
            &self.channels,
            maps,
            &self.selection,
            &self.orientations,
            how,
        )?)
    }

    fn parts(&self) -> Parts<'_> {
        Parts {
            scattering: &self.scattering,
            channels: &self.channels,
            selection: &self.selection,
            orientations: &self.orientations,
            standardiser: &self.standardiser,
            loss: &self.config.loss,
            transforms: &self.transforms,
        }
    }
}

/// Maps of drawn members, in the order of the draws.
///
/// # Panics
/// If a drawn batch is missing from `batches`.
pub fn assemble(schedule: &Schedule, batches: &BTreeMap<BatchId, Array3<f64>>) -> Array3<f64> {
    let views: Vec<_> = schedule
        .draws()
        .iter()
        .map(|d| batches[&d.batch].slice_axis(Axis(0), (d.member..d.member + 1).into()))
        .collect();
    concatenate(Axis(0), &views).expect("maps of one shape")
}

fn find_orientations(
    scattering: &Scattering,
    how: skyscat_scattering::OrientationConfig,
    channels: &[String],
    selection: &Selection,
    maps: &Array3<f64>,
    par: &Par,
) -> Result<BTreeMap<String, Orientation>, EmulatorError> {
    let channel = |c: usize| maps.index_axis(Axis(1), c);
    let autos = selection.autos.iter().map(|&a| (a, None));
    let pairs = selection.pairs.iter().map(|&(a, b)| (a, Some(b)));
    let names = selection.names(channels);
    names
        .into_iter()
        .zip(autos.chain(pairs))
        .map(|(name, (a, b))| {
            let b = b.map(channel);
            Ok((name, Orientation::find(scattering, how, channel(a), b, par)?))
        })
        .collect()
}

fn check_settings(config: &Config) -> Result<(), EmulatorError> {
    let refuse =
        |name, given: String, allowed| Err(EmulatorError::Setting { name, given, allowed });
    if config.batch == 0 || config.batch > 100_000 {
        return refuse("batch", config.batch.to_string(), "1 to 100000 maps");
    }
    if let Some(few) = config.at_once
        && (few == 0 || few > config.batch)
    {
        return refuse("at_once", few.to_string(), "1 map to all of the batch");
    }
    if config.lbfgs.memory == 0 || config.lbfgs.memory > 100 {
        return refuse("memory", config.lbfgs.memory.to_string(), "1 to 100 pairs");
    }
    if !(0.0..1.0).contains(&config.plateau) {
        return refuse("plateau", config.plateau.to_string(), "0 (never) to below 1");
    }
    if !(0.0..1.0).contains(&config.std_floor) {
        return refuse("std_floor", config.std_floor.to_string(), "0 (none) to below 1");
    }
    let loss = &config.loss;
    let weights = [
        ("auto weight", loss.auto),
        ("cross weight", loss.cross),
        ("spectrum weight", loss.spectrum),
        ("variance weight", loss.variance),
        ("variance fraction", loss.variance_fraction),
    ];
    for (name, weight) in weights {
        if !weight.is_finite() || weight < 0.0 {
            return refuse(name, weight.to_string(), "a finite number, 0 or more");
        }
    }
    let scatter = loss.spectrum_loss != crate::SpectrumLoss::SumOverBatch;
    if loss.spectrum > 0.0 && scatter && config.batch < 2 {
        return refuse(
            "batch",
            config.batch.to_string(),
            "at least 2 with a ratio in the spectrum term, which needs the scatter within the batch",
        );
    }
    Ok(())
}
