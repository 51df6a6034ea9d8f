//! Bounds of the rounding errors of an operator on a device, from the text of its kernels.

mod check;
mod interpreter;
mod number;
mod value;

pub(crate) use interpreter::Reads;
use interpreter::{Machine, widths};
use naga::Module;
use number::{Affine, Rounding, Running};
use skyscat_autodiff::check::Twin;
use skyscat_autodiff::device::{Binding, DeviceCall, DevicePass, DeviceWork, Run};
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, OnceLock};
pub(crate) use value::Memory;

/// Scratch with room for all that an operator can do at a time.
pub(crate) const ROOM: [usize; 3] = [usize::MAX; 3];

/// Centres and bounds of errors.
pub(crate) type Bounded = Vec<(f64, f64)>;

/// What a device may give: for each number a centre and how far off it may be, infinite
/// where rounding decides a branch.
#[derive(Clone, Debug)]
pub(crate) struct Bounds {
    pub(crate) output: Bounded,
    pub(crate) gradients: Vec<Bounded>,
    /// Kernel, entry point, and what all its runs together have looked at.
    pub(crate) reads: BTreeMap<(&'static str, &'static str), Reads>,
}

/// What tables are on the device.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Tables {
    /// Roundings of the truth.
    Rounded,
    /// The truth itself.
    Exact,
}

/// Interprets all that an operator does on a device, f32.
pub(crate) fn bounds(twin: &Twin, tables: Tables) -> Bounds {
    let lanes = twin.maps.next_multiple_of(4);
    let field = |x: &[f32]| field(x, twin.maps, lanes);
    let zeros = |x: &[f32]| Memory::Field(vec![(0.0, 0.0); x.len() / twin.maps * lanes]);
    let mut state = State {
        inputs: twin.inputs.iter().map(|x| field(x)).collect(),
        output: zeros(&twin.cotangent),
        cotangent: field(&twin.cotangent),
        gradients: twin.inputs.iter().map(|x| zeros(x)).collect(),
        tables,
        reads: BTreeMap::new(),
    };
    let mut passes = vec![DevicePass::Forward];
    match twin.operator.joint() {
        true => passes.push(DevicePass::Joint),
        false => passes.extend((0..twin.inputs.len()).map(|which| DevicePass::Pullback { which })),
    }
    for pass in passes {
        let call = DeviceCall { pass, inputs: &twin.shapes, lanes, double: false, scratch: &ROOM };
        state.work(&twin.operator.gpu(&call).expect("every operator has a kernel"));
    }
    let open = |memory: Memory| -> Bounded {
        let Memory::Field(field) = memory else { unreachable!("results are fields") };
        field.chunks_exact(lanes).flat_map(|row| row[..twin.maps].to_vec()).collect()
    };
    Bounds {
        output: open(state.output),
        gradients: state.gradients.into_iter().map(open).collect(),
        reads: state.reads,
    }
}

/// Numbers of some maps, padded.
fn field(x: &[f32], maps: usize, lanes: usize) -> Memory {
    let padding = std::iter::repeat_n((0.0, 0.0), lanes - maps);
    let row = |row: &[f32]| -> Bounded {
        row.iter().map(|&x| (f64::from(x), 0.0)).chain(padding.clone()).collect()
    };
    Memory::Field(x.chunks_exact(maps).flat_map(row).collect())
}

struct State {
    inputs: Vec<Memory>,
    output: Memory,
    cotangent: Memory,
    gradients: Vec<Memory>,
    tables: Tables,
    reads: BTreeMap<(&'static str, &'static str), Reads>,
}

impl State {
    fn work(&mut self, work: &DeviceWork<'_>) {
        let mut scratch: Vec<Memory> =
            work.scratch.iter().map(|&n| Memory::Field(vec![(0.0, 0.0); n])).collect();
        for run in &work.runs {
            let take = |memory: &mut Memory| std::mem::replace(memory, Memory::Unused);
            let memory = run.bindings.iter().map(|binding| match binding {
                Binding::Numbers(table) => Memory::Numbers(table.to_vec()),
                Binding::Indices(table) => Memory::Indices(table.to_vec()),
                other => self.find(other, &mut scratch).map_or(Memory::Unused, take),
            });
            let (memory, reads) = interpret(run, memory.collect(), self.tables);
            let all = self.reads.entry((run.kernel, run.entry)).or_default();
            all.sizes.extend(reads.sizes);
            all.bindings.extend(reads.bindings);
            for (binding, memory) in run.bindings.iter().zip(memory) {
                if let Some(home) = self.find(binding, &mut scratch) {
                    *home = memory;
                }
            }
        }
    }

    fn find<'s>(
        &'s mut self,
        binding: &Binding<'_>,
        scratch: &'s mut [Memory],
    ) -> Option<&'s mut Memory> {
        match *binding {
            Binding::Input(i) => Some(&mut self.inputs[i]),
            Binding::Output => Some(&mut self.output),
            Binding::Cotangent => Some(&mut self.cotangent),
            Binding::Gradient(i) => Some(&mut self.gradients[i]),
            Binding::Scratch(i) => Some(&mut scratch[i]),
            _ => None,
        }
    }
}

/// What one run of a kernel leaves in these buffers, the bindings after its uniform.
pub(crate) fn interpreted(run: &Run<'_>, memory: Vec<Memory>) -> Vec<Memory> {
    interpret(run, memory, Tables::Rounded).0
}

fn interpret(run: &Run<'_>, memory: Vec<Memory>, tables: Tables) -> (Vec<Memory>, Reads) {
    let module = module(run.kernel);
    let mut machine = Machine {
        module: &module,
        sizes: run.uniforms.iter().map(|(_, word)| *word).collect(),
        memory,
        exact_tables: tables == Tables::Exact,
        rounding: Rounding::SINGLE,
        reads: Reads::default(),
        widths: widths(&module),
    };
    match RECURRENCES.contains(&run.kernel) {
        true => machine.run::<Affine>(run.entry, run.invocations),
        false => machine.run::<Running>(run.entry, run.invocations),
    }
    (machine.memory, machine.reads)
}

/// Kernels that take recurrences, whose errors need their signs.
const RECURRENCES: &[&str] = &["legendre"];

/// A parsed kernel.
fn module(kernel: &str) -> Arc<Module> {
    static KNOWN: OnceLock<Mutex<HashMap<String, Arc<Module>>>> = OnceLock::new();
    let mut known = KNOWN.get_or_init(Mutex::default).lock().unwrap();
    let parse = || {
        let source = skyscat_shaders::kernel(kernel).expect("compiled kernels exist").source;
        Arc::new(naga::front::wgsl::parse_str(source).expect("validated when built"))
    };
    known.entry(kernel.to_owned()).or_insert_with(parse).clone()
}
