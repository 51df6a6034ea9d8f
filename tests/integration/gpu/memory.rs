//! What a program takes on a device, before it is placed there.

use super::device;
use super::loss::emulator_of;
use skyscat_emulator::{BatchId, Config};
use skyscat_gpu::DeviceError;

#[test]
fn a_plan_has_the_memory_that_the_program_takes() {
    let Some(device) = device("planned memory") else { return };
    let emulator = emulator_of(4, Config { batch: 5, ..Config::campeti2025() });
    let ids: Vec<BatchId> = (0..3).map(|number| BatchId { target: None, number }).collect();
    let planned = |maps, groups| {
        let room = emulator.room_on_gpu((maps, groups), &device).unwrap();
        emulator.plan_on_gpu((maps, groups), room, &device).unwrap()
    };
    let one = planned(5, 1);
    for groups in 1..=3 {
        let plan = planned(5, groups);
        let program = emulator.gpu_program(&ids[..groups], &device).unwrap();
        let memory = program.memory();
        assert_eq!(plan.bytes_of(&plan.fields), memory.field_bytes as u64);
        assert_eq!(plan.bytes_of(&plan.scratch), memory.scratch_bytes as u64);
        assert_eq!(plan.tables, one.tables, "groups share their tables");
        assert_eq!(plan.descents.len(), groups * one.descents.len());
        // 20 pairs, and what the descent works on.
        let variables = 5 * 2 * 192;
        assert!(plan.bytes_of(&plan.descents) >= (groups * 45 * variables * 4) as u64);
        plan.fits(&device).unwrap();
    }
    // Eight lanes are those of five maps; nine take more.
    let fields = |maps| {
        let plan = planned(maps, 1);
        plan.bytes_of(&plan.fields)
    };
    assert_eq!(fields(5), fields(8));
    assert!(fields(9) > fields(8));
}

#[test]
fn a_buffer_that_is_too_large_is_seen_before_it_is_made() {
    let Some(device) = device("fits") else { return };
    let allowed = device.adapter().allowed;
    let most = (allowed.buffer_bytes / 4) as usize;
    let refused = device.fits([16, most + 1].into_iter()).unwrap_err();
    assert!(matches!(refused, DeviceError::Limit { given, allowed, .. } if given > allowed));
    device.fits([16, 1 << 20].into_iter()).unwrap();
    device.wait().unwrap();
}
