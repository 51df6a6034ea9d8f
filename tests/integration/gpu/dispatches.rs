//! How many commands an evaluation is: on a card each waits for those before it.

use super::cases::{Case, cases, normals};
use super::device;
use super::loss::{ID, emulator, start};
use super::rounding::ROOM;
use skyscat_autodiff::check::{self, Twin};
use skyscat_autodiff::device::{DeviceCall, DevicePass, DeviceWork};
use skyscat_autodiff::{CpuKernel, GpuPlan, GraphError, Keeps, Operator, Shape};
use skyscat_gpu::Device;
use std::sync::Arc;

/// Dispatches and stretches of an evaluation with so many bytes of scratch a piece.
fn commands((nside, batch): (usize, usize), room: u64, device: &Arc<Device>) -> (usize, usize) {
    let program = emulator(nside, batch, 1).gpu_program_within(&[ID], room, device);
    let found = program.unwrap().commands();
    (found.dispatches, found.stretches)
}

#[test]
fn an_evaluation_is_few_commands() {
    let Some(device) = device("dispatches") else { return };
    // 1106 dispatches and 62 stretches when every group of a covariance, every piece of a
    // statistic and every factor of a normalisation had a run of its own.
    let found = commands((16, 10), GpuPlan::LITTLE_ROOM, &device);
    assert!(found.0 <= 319 && found.1 <= 32, "{found:?}");
    // As many for any number of maps.
    assert_eq!(commands((16, 40), GpuPlan::LITTLE_ROOM, &device), found);
}

/// What the graph of Q and U says, with scratch for all groups of a covariance: below
/// Nside 128 an analysis is three dispatches a way.
fn predicted(scales: usize) -> usize {
    let moduli = |scale: usize| (2 * (scale + 1)).div_ceil(3);
    let covariances: usize = (0..scales).map(|j| (moduli(j) + 4) + (2 * moduli(j) + 5)).sum();
    // A band and its modulus, conjugate products, means: S1, S2, and what they divide.
    let fields = 31 * scales;
    let gathers = 4 * (scales * (scales - 1) / 2 + scales - 1);
    let joins = 2 * [1, 2, 3].map(|each| (each * scales).div_ceil(7)).iter().sum::<usize>();
    let terms = 22 + scales;
    // Analysis, spectra, stacking, normalisation, standards.
    covariances + fields + gathers + joins + terms + 28
}

#[test]
fn with_scratch_enough_all_groups_of_a_covariance_run_together_at_any_nside() {
    let Some(device) = device("dispatches with room") else { return };
    for (nside, scales) in [(8, 3), (16, 4), (32, 5)] {
        let (found, _) = commands((nside, 4), u64::MAX, &device);
        assert_eq!(found, predicted(scales), "Nside {nside}");
    }
    // Without it a program of Nside 32 has more.
    let (tight, _) = commands((32, 4), GpuPlan::LITTLE_ROOM, &device);
    assert!(tight > predicted(5), "{tight}");
}

#[test]
fn room_for_scratch_changes_memory_and_dispatches_and_no_bit() {
    let Some(device) = device("room") else { return };
    let emulator = emulator(16, 6, 1);
    let x = start(&emulator);
    let evaluate = |room| {
        let mut program = emulator.gpu_program_within(&[ID], room, &device).unwrap();
        let mut gradient = vec![0.0; x.len()];
        let value = program.value_and_gradient(&x, &mut gradient).unwrap();
        let planned = emulator.plan_on_gpu((6, 1), room, &device).unwrap();
        let scratch = program.memory().scratch_bytes;
        assert_eq!(planned.bytes_of(&planned.scratch), scratch as u64);
        ((value, gradient), scratch, program.commands().dispatches)
    };
    // Little room, some, and for all groups of the finest scale.
    let [little, some, all] = [GpuPlan::LITTLE_ROOM, 1 << 22, u64::MAX].map(evaluate);
    assert!(little.0 == some.0 && some.0 == all.0, "other bits");
    assert!(little.2 > some.2 && some.2 > all.2, "{} {} {}", little.2, some.2, all.2);
    assert!(little.1 < some.1 && some.1 < all.1, "{} {} {}", little.1, some.1, all.1);
    // A card has plenty of memory for this, and in software nothing waits.
    let (room, dispatches) = match device.adapter().kind.is_hardware() {
        true => (u64::MAX, all.2),
        false => (GpuPlan::LITTLE_ROOM, little.2),
    };
    assert_eq!(emulator.room_on_gpu((6, 1), &device).unwrap(), room);
    let program = emulator.gpu_program(&[ID], &device).unwrap();
    assert_eq!(program.commands().dispatches, dispatches);
}

/// A covariance with scratch for all groups at a time.
#[derive(Debug)]
struct Roomy(Arc<dyn Operator>);

impl Operator for Roomy {
    fn name(&self) -> &'static str {
        self.0.name()
    }
    fn shape(&self, inputs: &[Shape]) -> Result<Shape, GraphError> {
        self.0.shape(inputs)
    }
    fn keeps(&self) -> Keeps {
        self.0.keeps()
    }
    fn joint(&self) -> bool {
        self.0.joint()
    }
    fn flops(&self, inputs: &[Shape]) -> f64 {
        self.0.flops(inputs)
    }
    fn cpu(&self) -> &dyn CpuKernel {
        self.0.cpu()
    }
    fn gpu(&self, call: &DeviceCall<'_>) -> Option<DeviceWork<'_>> {
        self.0.gpu(&DeviceCall { scratch: &ROOM, ..*call })
    }
}

fn runs(twin: &Twin, operator: &dyn Operator) -> usize {
    let passes = [DevicePass::Forward, DevicePass::Joint];
    let call = |pass| DeviceCall {
        pass,
        inputs: &twin.shapes,
        lanes: twin.maps,
        double: false,
        scratch: &[],
    };
    passes.into_iter().map(|pass| operator.gpu(&call(pass)).unwrap().runs.len()).sum()
}

#[test]
fn groups_side_by_side_have_the_bits_of_one_after_the_other() {
    let Some(device) = device("groups of a covariance") else { return };
    let mut compared = 0;
    for case in cases(4).into_iter().filter(|case| case.name.starts_with("turned")) {
        // So many that scratch has room for one group alone.
        let case = Case { maps: 400, ..case };
        let x = normals("groups", case.graph.variables() * case.maps);
        for twin in check::twins(&case.graph, &x, case.maps).unwrap() {
            if twin.operator.name() != "covariance" {
                continue;
            }
            let roomy: Arc<dyn Operator> = Arc::new(Roomy(twin.operator.clone()));
            // For each of two groups more: fields, and what is made of them.
            let (apart, together) = (runs(&twin, &*twin.operator), runs(&twin, &*roomy));
            assert_eq!(apart - together, 2 * ((4 + 1) + (4 + 1 + 4)), "{apart}, {together} runs");
            let [apart, together] = [twin.operator.clone(), roomy]
                .map(|operator| twin.on_gpu(operator, &device).unwrap());
            assert!(apart.gradients[5].iter().all(|x| *x != 0.0));
            assert_eq!(apart, together);
            compared += 1;
        }
    }
    assert_eq!(compared, 2);
}
