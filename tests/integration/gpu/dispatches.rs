//! How many commands an evaluation is: on a card each waits for those before it.

use super::cases::{Case, cases, normals};
use super::device;
use super::loss::{ID, emulator};
use super::rounding::ROOM;
use skyscat_autodiff::check::{self, Twin};
use skyscat_autodiff::device::{DeviceCall, DevicePass, DeviceWork};
use skyscat_autodiff::{CpuKernel, GraphError, Keeps, Operator, Shape};
use std::sync::Arc;

#[test]
fn an_evaluation_is_few_commands() {
    let Some(device) = device("dispatches") else { return };
    let dispatches =
        |nside, batch| emulator(nside, batch, 1).gpu_program(&[ID], &device).unwrap().commands();
    // 1106 dispatches and 62 stretches when every group of a covariance, every piece of a
    // statistic and every factor of a normalisation had a run of its own.
    let found = dispatches(16, 10);
    assert!(found.dispatches <= 319 && found.stretches <= 32, "{found:?}");
    // As many for any number of maps.
    assert_eq!(dispatches(16, 40), found);
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
