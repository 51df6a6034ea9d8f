//! What a program and its descents take on a device, and in how many parts, before
//! anything is placed there.

use super::compile::{is_borrowed, key, scratch_lengths, tasks, tasks_within, words};
use super::lanes::{Lanes, PADDING};
use super::terms::Terms;
use super::vector::Products;
use super::{GpuError, GpuProgram};
use crate::device::Binding;
use crate::plan::Plan;
use crate::statistics::{self, Reading};
use crate::{Graph, Purpose};
use skyscat_gpu::{Device, DeviceError};
use std::collections::HashSet;
use std::sync::Arc;

/// How many times the memory of a program with all the scratch that it can use a device
/// must have: there are other buffers on it, and other programs.
const PLENTY: usize = 2;

/// Memory on a device, as numbers a buffer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GpuPlan {
    /// Parts in which the maps are worked on, one after the other: one if kernels may
    /// see the buffers of all maps, else each batch has its own.
    pub parts: usize,
    /// Bytes of a number.
    pub number_bytes: usize,
    /// Values of the graph and their gradients.
    pub fields: Vec<usize>,
    /// Scratch of the operators.
    pub scratch: Vec<usize>,
    /// Tables of the operators.
    pub tables: Vec<usize>,
    /// The loss terms, the statistics of all parts, variables and gradients on their way.
    pub terms: Vec<usize>,
    /// Vectors of the descents: the pairs, and those that they work on.
    pub descents: Vec<usize>,
}

impl GpuPlan {
    /// Bytes that a piece of scratch may have though no operator needs them, on any
    /// device: a program with this room takes the least memory.
    pub const LITTLE_ROOM: u64 = 1 << 19;

    /// All buffers.
    pub fn buffers(&self) -> impl Iterator<Item = usize> {
        let parts = [&self.fields, &self.scratch, &self.tables, &self.terms, &self.descents];
        parts.into_iter().flatten().copied()
    }

    /// Bytes of some buffers.
    pub fn bytes_of(&self, buffers: &[usize]) -> u64 {
        (self.number_bytes * buffers.iter().sum::<usize>()) as u64
    }

    /// Bytes of all buffers.
    pub fn bytes(&self) -> u64 {
        (self.number_bytes * self.buffers().sum::<usize>()) as u64
    }

    /// Whether the device has the memory, by asking it for all buffers at once.
    ///
    /// # Errors
    /// [`DeviceError::Limit`] for a vector that is larger than any buffer may be,
    /// [`DeviceError::Memory`] if they do not fit beside each other.
    pub fn fits(&self, device: &Device) -> Result<(), DeviceError> {
        device.fits(self.buffers())
    }
}

impl GpuProgram {
    /// Bytes that a piece of scratch may have where operators could do with fewer: all
    /// that they can use if the device has twice the memory of the whole, else little.
    /// With more they wait for each other less, and compute the same bits. In software
    /// nothing waits, and memory is the host's: little.
    ///
    /// # Errors
    /// As [`GpuProgram::plan`]; [`GpuError::Device`] if the device fails.
    pub fn room(
        graph: &Arc<Graph>,
        sizes: (usize, usize),
        pairs: usize,
        device: &Device,
    ) -> Result<u64, GpuError> {
        if !device.adapter().kind.is_hardware() {
            return Ok(GpuPlan::LITTLE_ROOM);
        }
        let plan = Self::plan(graph, sizes, (pairs, u64::MAX), device)?;
        let buffers = std::iter::repeat_n(&plan, PLENTY).flat_map(GpuPlan::buffers);
        match device.fits(buffers) {
            Ok(()) => Ok(u64::MAX),
            Err(DeviceError::Memory { .. } | DeviceError::Limit { .. }) => Ok(GpuPlan::LITTLE_ROOM),
            Err(error) => Err(error.into()),
        }
    }

    /// What `groups` batches of `maps` maps side by side take, each with a descent that
    /// remembers `pairs` pairs, where a piece of scratch may have `room` bytes though
    /// operators could do with fewer. Nothing is placed on the device.
    ///
    /// # Errors
    /// [`GpuError::Operator`] and [`GpuError::Term`] for what has no GPU kernel;
    /// [`GpuError::Batch`] and [`GpuError::Device`] for buffers that no kernel may see.
    pub fn plan(
        graph: &Arc<Graph>,
        (maps, groups): (usize, usize),
        (pairs, room): (usize, u64),
        device: &Device,
    ) -> Result<GpuPlan, GpuError> {
        let (plan, lanes) = fitting((graph, Purpose::Gradient), (maps, groups), device)?;
        let tasks = tasks((graph, &plan), (lanes.width(), room), device)?;
        let bindings = tasks.iter().flat_map(|t| &t.work.runs).flat_map(|r| &r.bindings);
        let (mut borrowed, mut made) = (HashSet::new(), HashSet::new());
        let mut tables = Vec::new();
        for binding in bindings {
            let is_new = match is_borrowed(binding) {
                true => borrowed.insert(key(binding)),
                false => made.insert(words(binding)),
            };
            match binding {
                Binding::Numbers(table) if is_new => tables.push(table.len()),
                Binding::Doubles(table) if is_new => tables.push(table.len()),
                Binding::Indices(table) if is_new => {
                    tables.push((4 * table.len()).div_ceil(device.number_bytes()));
                }
                _ => {}
            }
        }
        let most = tables.iter().copied().max().unwrap_or(0);
        device.sees("a table of an operator", most)?;
        let variables = graph.variables() * maps;
        let terms = Terms::new(std::slice::from_ref(graph), maps, plan.reading)?;
        let mut terms = terms.lengths(groups, device.number_bytes());
        // Padded variables and gradients, and the slopes of all lines.
        let padded = graph.variables() * lanes.width();
        terms.extend(std::iter::repeat_n(padded, 2 * lanes.parts));
        terms.push(Products::length(variables, groups));
        if lanes.parts > 1 {
            let statistics = statistics::read(graph, plan.reading).into_iter();
            terms.extend(statistics.flat_map(|(_, reals)| [reals * lanes.all(); 2]));
        }
        let products = Products::length(variables, super::history::NEW * (2 * pairs + 1));
        // Point, direction, their trials; and, while one begins, a step and its end.
        let own = vec![variables; 2 * pairs + 7];
        let descent = own.into_iter().chain([products]);
        let descents = std::iter::repeat_n(descent, groups).flatten().collect();
        let scratch = scratch_lengths(&tasks);
        drop(tasks);
        let fields = plan.buffers.iter().map(|n| n * lanes.width());
        let fields = std::iter::repeat_n(fields, lanes.parts).flatten().collect();
        let number_bytes = device.number_bytes();
        Ok(GpuPlan { parts: lanes.parts, number_bytes, fields, scratch, tables, terms, descents })
    }
}

/// The plan, and the lanes of so many maps in as few parts as kernels may see the buffers
/// of.
pub(super) fn fitting(
    (graph, purpose): (&Graph, Purpose),
    (maps, groups): (usize, usize),
    device: &Device,
) -> Result<(Plan, Lanes), GpuError> {
    // The terms see statistics of all parts put side by side: where fields of all are too
    // large for that, the channels that are read of them may not be.
    let in_place = Plan::new(graph, purpose, Reading::InPlace);
    match cut((graph, &in_place), (maps, groups), device) {
        Ok(lanes) => Ok((in_place, lanes)),
        Err(_) => {
            let copied = Plan::new(graph, purpose, Reading::Copied);
            let lanes = cut((graph, &copied), (maps, groups), device)?;
            Ok((copied, lanes))
        }
    }
}

/// The lanes of so many maps in as few parts as can be.
fn cut(
    (graph, plan): (&Graph, &Plan),
    (maps, groups): (usize, usize),
    device: &Device,
) -> Result<Lanes, GpuError> {
    let limits = device.adapter().allowed;
    let allowed = limits.buffer_bytes.min(limits.binding_bytes);
    let together = Lanes::together(maps, groups);
    let largest = |lanes| largest((graph, plan), lanes, device);
    if largest(together.all())?.1 <= allowed {
        return Ok(together);
    }
    // Buffers grow with the lanes: halve what is unknown.
    let (mut fits, mut refused) = (0, together.all() / PADDING);
    while refused - fits > 1 {
        let middle = usize::midpoint(fits, refused);
        match largest(middle * PADDING)?.1 <= allowed {
            true => fits = middle,
            false => refused = middle,
        }
    }
    let adapter = device.adapter().name.clone();
    let refuse = |buffer: String, maps: usize, given: u64, fits: usize| {
        Err(GpuError::Batch { adapter, buffer, maps, given, allowed, fits })
    };
    if fits == 0 {
        let (buffer, given) = largest(PADDING)?;
        return refuse(buffer, PADDING, given, 0);
    }
    let reals = statistics::read(graph, plan.reading).into_values().max().unwrap_or(0);
    let cut = |maps: usize| Lanes::cut(maps, groups, fits * PADDING);
    let given = |maps: usize| (device.number_bytes() * reals * cut(maps).all()) as u64;
    if given(maps) <= allowed {
        return Ok(cut(maps));
    }
    let smaller = (1..maps).rev().find(|&maps| given(maps) <= allowed);
    refuse("a statistic".to_owned(), maps * groups, given(maps), smaller.unwrap_or(0))
}

/// The largest buffer for so many lanes: what it holds, and its bytes.
fn largest(
    (graph, plan): (&Graph, &Plan),
    lanes: usize,
    device: &Device,
) -> Result<(String, u64), GpuError> {
    let holds = |buffer: usize| {
        let in_it = |&node: &usize| {
            let home = [plan.value[node], plan.gradient[node]].contains(&Some(buffer));
            home && graph.nodes[node].shape.reals() == plan.buffers[buffer]
        };
        let node = (0..graph.len()).find(in_it).expect("a buffer has the size of what it holds");
        let operator = graph.nodes[node].operator.as_ref();
        format!("the result of {} (node {node})", operator.map_or("input", |o| o.name()))
    };
    let fields = plan.buffers.iter().enumerate().map(|(i, &n)| (holds(i), n * lanes));
    let least = tasks_within((graph, plan), (lanes, &[]), device.is_double())?;
    let scratch = scratch_lengths(&least);
    let scratch = scratch.into_iter().enumerate().map(|(i, n)| (format!("scratch {i}"), n));
    let variables = ("the variables".to_owned(), graph.variables() * lanes);
    let all = fields.chain(scratch).chain([variables]);
    let (what, numbers) = all.max_by_key(|(_, n)| *n).expect("there are variables");
    Ok((what, (device.number_bytes() * numbers) as u64))
}
