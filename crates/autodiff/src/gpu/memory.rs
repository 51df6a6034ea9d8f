//! What a program and its descents take on a device, before anything is placed there.

use super::compile::{key, scratch_lengths, tasks, words};
use super::terms::Terms;
use super::vector::Products;
use super::{GpuError, GpuProgram, Lanes};
use crate::device::Binding;
use crate::plan::Plan;
use crate::{Graph, Purpose};
use skyscat_gpu::{Device, DeviceError};
use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::Arc;

/// Memory on a device, as numbers of 32 bits a buffer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GpuPlan {
    /// Values of the graph and their gradients.
    pub fields: Vec<usize>,
    /// Scratch of the operators.
    pub scratch: Vec<usize>,
    /// Tables of the operators.
    pub tables: Vec<usize>,
    /// The loss terms, and variables and gradients on their way.
    pub terms: Vec<usize>,
    /// Vectors of the descents: the pairs, and those that they work on.
    pub descents: Vec<usize>,
}

impl GpuPlan {
    /// All buffers.
    pub fn buffers(&self) -> impl Iterator<Item = usize> {
        let parts = [&self.fields, &self.scratch, &self.tables, &self.terms, &self.descents];
        parts.into_iter().flatten().copied()
    }

    /// Bytes of some buffers.
    pub fn bytes_of(buffers: &[usize]) -> u64 {
        4 * buffers.iter().map(|&n| n as u64).sum::<u64>()
    }

    /// Bytes of all buffers.
    pub fn bytes(&self) -> u64 {
        4 * self.buffers().map(|n| n as u64).sum::<u64>()
    }

    /// Whether the device has the memory, by asking it for all buffers at once.
    ///
    /// # Errors
    /// [`DeviceError::Limit`] for a buffer that is larger than any may be,
    /// [`DeviceError::Memory`] if they do not fit beside each other.
    pub fn fits(&self, device: &Device) -> Result<(), DeviceError> {
        device.fits(self.buffers())
    }
}

impl GpuProgram {
    /// What `groups` batches of `maps` maps side by side take, each with a descent that
    /// remembers `pairs` pairs. Nothing is placed on a device.
    ///
    /// # Errors
    /// [`GpuError::Operator`] and [`GpuError::Term`] for what has no GPU kernel.
    pub fn plan(
        graph: &Arc<Graph>,
        (maps, groups): (usize, usize),
        pairs: usize,
    ) -> Result<GpuPlan, GpuError> {
        let plan = Plan::new(graph, Purpose::Gradient);
        let lanes = Lanes::new(maps, groups);
        let tasks = tasks(graph, &plan, lanes.all())?;
        let bindings = tasks.iter().flat_map(|t| &t.work.runs).flat_map(|r| &r.bindings);
        let (mut borrowed, mut made) = (HashSet::new(), HashSet::new());
        let mut tables = Vec::new();
        for binding in bindings {
            let is_new = match binding {
                Binding::Numbers(Cow::Borrowed(_)) | Binding::Indices(Cow::Borrowed(_)) => {
                    borrowed.insert(key(binding))
                }
                Binding::Numbers(_) | Binding::Indices(_) => made.insert(words(binding)),
                _ => false,
            };
            match binding {
                Binding::Numbers(table) if is_new => tables.push(table.len()),
                Binding::Indices(table) if is_new => tables.push(table.len()),
                _ => {}
            }
        }
        let variables = graph.variables() * maps;
        let mut terms = Terms::new(std::slice::from_ref(graph), maps)?.lengths(groups);
        // Padded variables and gradients, and the slopes of all lines.
        terms.extend([graph.variables() * lanes.all(); 2]);
        terms.push(Products::length(variables, groups));
        let products = Products::length(variables, super::history::NEW * (2 * pairs + 1));
        // Point, direction, their trials; and, while one begins, a step and its end.
        let own = vec![variables; 2 * pairs + 7];
        let descent = own.into_iter().chain([products]);
        let descents = std::iter::repeat_n(descent, groups).flatten().collect();
        let scratch = scratch_lengths(&tasks);
        drop(tasks);
        let fields = plan.buffers.iter().map(|n| n * lanes.all()).collect();
        Ok(GpuPlan { fields, scratch, tables, terms, descents })
    }
}
