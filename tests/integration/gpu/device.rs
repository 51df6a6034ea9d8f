//! Adapters, buffers, dispatches and their refusals.

use super::{choice, device};
use skyscat_gpu::{Access, Bound, Choice, Device, DeviceError, Entry, Recording, adapters};

const DOUBLE: &str = "
@group(0) @binding(0) var<uniform> count: u32;
@group(0) @binding(1) var<storage, read> source: array<f32>;
@group(0) @binding(2) var<storage, read_write> destination: array<f32>;
@compute @workgroup_size(64)
fn forward(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
) {
    let index = id.x + id.y * groups.x * 64u;
    if index < count {
        destination[index] = 2.0 * source[index];
    }
}";

const BINDINGS: &[Access] = &[Access::Uniform, Access::Read, Access::Write];

#[test]
fn a_dispatch_reaches_every_number_whatever_the_size() {
    let Some(device) = device("dispatch") else { return };
    let entry = Entry { kernel: "double", source: DOUBLE, name: "forward", bindings: BINDINGS };
    // The last has more workgroups than one dimension allows.
    for count in [1usize, 63, 64, 65, 100_000, 64 * 65_535 + 7] {
        let x: Vec<f32> = (0..count).map(|i| i as f32).collect();
        let source = device.table("source", &x).unwrap();
        let (target, staging) =
            (device.storage("target", count).unwrap(), device.staging("staging", count).unwrap());
        let sizes = device.uniforms("sizes", &[count as u32, 0, 0, 0]).unwrap();
        let pipeline = device.pipeline(&entry).unwrap();
        let bindings: [Bound<'_>; 3] = [(&sizes).into(), (&source).into(), (&target).into()];
        let mut recording = Recording::default();
        recording.clear(&target, count);
        recording.dispatch(device.dispatch(&pipeline, &bindings, count as u64).unwrap());
        recording.copy((&target, 0), (&staging, 0), count);
        // A recording runs again and again.
        for _ in 0..2 {
            device.submit(&recording);
            let mut out = vec![0.0; count];
            device.read(&staging, &mut out).unwrap();
            assert!(out.iter().enumerate().all(|(i, &y)| y == 2.0 * i as f64), "{count}");
        }
    }
}

#[test]
fn what_does_not_fit_is_refused_and_never_cut() {
    let Some(device) = device("refusals") else { return };
    let allowed = device.adapter().allowed;
    let most = allowed.binding_bytes.min(allowed.buffer_bytes);
    let refused = device.storage("too large", (most / 4 + 1) as usize).unwrap_err();
    assert!(matches!(refused, DeviceError::Limit { given, allowed, .. } if given > allowed));
    let broken = Entry { kernel: "broken", source: "fn f() {", name: "f", bindings: &[] };
    assert!(matches!(device.pipeline(&broken), Err(DeviceError::Failed { .. })));
    // A refused kernel leaves the device in order.
    device.wait().unwrap();
}

#[test]
fn memory_that_is_asked_for_is_given_back() {
    let Some(device) = device("memory") else { return };
    // Sixteen times as much as is asked for at once, if it were not given back.
    for _ in 0..16 {
        for most in [1 << 20, 100 << 20] {
            let given = device.memory(most).unwrap();
            assert!(given <= most && given > most / 2, "{given} of {most}");
        }
    }
    assert_eq!(device.memory(0), Ok(0));
}

#[test]
fn a_missing_adapter_is_a_typed_error_that_lists_what_there_is() {
    let error = Device::open(&Choice::Named("no such card".to_owned())).unwrap_err();
    let names: Vec<String> = adapters().into_iter().map(|a| a.name).collect();
    let asked = "gpu:no such card".to_owned();
    assert_eq!(error, DeviceError::NoAdapter { asked, known: names });
}

#[test]
fn a_lost_device_is_lost_to_every_thread() {
    if device("lost to all").is_none() {
        return;
    }
    let own = Device::open(&choice()).unwrap();
    // Copies until something fails.
    let fail = || {
        let (source, staging) =
            (own.storage("source", 1 << 16).unwrap(), own.staging("staging", 1 << 16).unwrap());
        let mut recording = Recording::default();
        recording.copy((&source, 0), (&staging, 0), 1 << 16);
        let mut out = vec![0.0; 1 << 16];
        loop {
            own.submit(&recording);
            if let Err(error) = own.read(&staging, &mut out) {
                return error;
            }
        }
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..3).map(|_| scope.spawn(fail)).collect();
        std::thread::sleep(std::time::Duration::from_millis(200));
        own.lose();
        for thread in threads {
            let error = thread.join().unwrap();
            assert!(matches!(error, DeviceError::Lost { .. }), "{error}");
        }
    });
}
