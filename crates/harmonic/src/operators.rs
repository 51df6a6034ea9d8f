//! Transforms as operators of a graph.

use crate::device::DeviceTables;
use crate::{HarmonicError, Modes, Plan, Sample, Scratch};
use skyscat_autodiff::device::{DeviceCall, DeviceWork};
use skyscat_autodiff::{CpuKernel, Forward, GraphError, Keeps, Operator, Pullback, Shape};
use skyscat_healpix::Nside;
use skyscat_num::Real;
use std::sync::{Mutex, OnceLock};

/// A plan in one precision, with working memory that is kept between calls.
#[derive(Debug, Default)]
struct Engine<T> {
    plan: OnceLock<Plan<T>>,
    memory: Mutex<Vec<Memory<T>>>,
}

#[derive(Debug)]
struct Memory<T> {
    scratch: Scratch<T>,
    map: Vec<T>,
}

impl<T: Sample + Real> Engine<T> {
    /// Runs `work` with the plan and memory for `lanes` maps.
    fn with(
        &self,
        make: impl Fn() -> Plan<T>,
        lanes: usize,
        work: impl FnOnce(&Plan<T>, &mut Memory<T>),
    ) {
        let plan = self.plan.get_or_init(make);
        let take = |pool: &mut Vec<Memory<T>>| {
            let at = pool.iter().position(|m| m.scratch.batch() == lanes)?;
            Some(pool.swap_remove(at))
        };
        let found = take(&mut self.memory.lock().expect("no holder panics"));
        let mut memory =
            found.unwrap_or_else(|| Memory { scratch: plan.scratch(lanes), map: Vec::new() });
        work(plan, &mut memory);
        self.memory.lock().expect("no holder panics").push(memory);
    }
}

/// a_ℓm of RING maps by quadrature with equal weights, without iterations.
///
/// Input `[pixel][component]` real (one component for spin 0, two for the rest);
/// output one row a mode in the order of [`Modes`], one complex channel a component.
#[derive(Debug)]
pub struct Analysis {
    pub(crate) nside: Nside,
    pub(crate) lmax: usize,
    pub(crate) spin: usize,
    pub(crate) components: usize,
    pub(crate) modes: Modes,
    single: Engine<f32>,
    double: Engine<f64>,
    device_single: OnceLock<DeviceTables<f32>>,
    device_double: OnceLock<DeviceTables<f64>>,
}

impl Analysis {
    /// The analysis of one spin up to `lmax`.
    ///
    /// # Errors
    /// [`HarmonicError`] for values that no plan accepts.
    pub fn new(nside: Nside, lmax: usize, spin: usize) -> Result<Self, HarmonicError> {
        let double = Engine::default();
        let plan = Plan::<f64>::new(nside, lmax, spin)?;
        let (components, modes) = (plan.components(), plan.modes());
        double.plan.set(plan).expect("set once");
        Ok(Self {
            nside,
            lmax,
            spin,
            components,
            modes,
            single: Engine::default(),
            double,
            device_single: OnceLock::new(),
            device_double: OnceLock::new(),
        })
    }

    fn forward<T: Sample + Real>(&self, engine: &Engine<T>, call: Forward<'_, T>) {
        let x = call.inputs[0];
        let make = || Plan::new(self.nside, self.lmax, self.spin).expect("planned before");
        engine.with(make, x.lanes, |plan, memory| {
            plan.analysis(x.data, call.output, 0, &mut memory.scratch);
        });
    }

    fn pullback<T: Sample + Real>(&self, engine: &Engine<T>, call: Pullback<'_, T>) {
        let g = call.cotangent;
        let make = || Plan::new(self.nside, self.lmax, self.spin).expect("planned before");
        engine.with(make, g.lanes, |plan, memory| {
            memory.map.resize(call.gradient.len(), T::default());
            plan.analysis_pullback(g.data, &mut memory.map, 0, &mut memory.scratch);
            call.gradient.iter_mut().zip(&memory.map).for_each(|(o, &m)| *o += m);
        });
    }
}

impl Operator for Analysis {
    fn name(&self) -> &'static str {
        "analysis"
    }
    fn shape(&self, inputs: &[Shape]) -> Result<Shape, GraphError> {
        let expected = Shape::real(self.nside.npix(), self.components);
        match inputs {
            [x] if *x == expected => Ok(Shape::complex(self.modes.len(), self.components)),
            _ => Err(self.refuse(inputs, &format!("{expected:?}"))),
        }
    }
    fn keeps(&self) -> Keeps {
        Keeps::Nothing
    }
    /// 6 (spin 0) or 24 flops a mode and ring pair, the ring FFTs not counted.
    fn flops(&self, _inputs: &[Shape]) -> f64 {
        let per = if self.spin == 0 { 6.0 } else { 24.0 };
        per * self.modes.len() as f64 * 2.0 * self.nside.get() as f64
    }
    fn cpu(&self) -> &dyn CpuKernel {
        self
    }
    fn gpu(&self, call: &DeviceCall<'_>) -> Option<DeviceWork<'_>> {
        let Self { nside, modes, spin, device_single, device_double, .. } = self;
        let single = || DeviceTables::new(*nside, *modes, *spin);
        let double = || DeviceTables::new(*nside, *modes, *spin);
        Some(match call.double {
            false => self.device_work(device_single.get_or_init(single), call),
            true => self.device_work(device_double.get_or_init(double), call),
        })
    }
}

impl CpuKernel for Analysis {
    fn scratch_f32(&self, _inputs: &[Shape], _lanes: usize) -> usize {
        0
    }
    fn scratch_f64(&self, _inputs: &[Shape], _lanes: usize) -> usize {
        0
    }
    fn forward_f32(&self, call: Forward<'_, f32>) {
        self.forward(&self.single, call);
    }
    fn forward_f64(&self, call: Forward<'_, f64>) {
        self.forward(&self.double, call);
    }
    fn pullback_f32(&self, call: Pullback<'_, f32>) {
        self.pullback(&self.single, call);
    }
    fn pullback_f64(&self, call: Pullback<'_, f64>) {
        self.pullback(&self.double, call);
    }
}
