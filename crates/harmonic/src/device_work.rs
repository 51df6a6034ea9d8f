//! What an analysis asks of a GPU: rings first, then the orders slab by slab; its
//! pullback in the opposite order.

use crate::Analysis;
use crate::device::{DeviceTables, Slab};
use skyscat_autodiff::device::Binding::{
    self, Cotangent, Gradient, Input, Output, Scratch, Unused,
};
use skyscat_autodiff::device::{DeviceCall, DeviceNumber, DeviceWork, Run};

/// Modes of the rings, and λ of a slab.
const ROWS: Binding<'static> = Scratch(0);
const LEGENDRE: Binding<'static> = Scratch(1);

impl Analysis {
    pub(crate) fn device_work<'a, T: DeviceNumber>(
        &'a self,
        tables: &'a DeviceTables<T>,
        call: &DeviceCall<'_>,
    ) -> DeviceWork<'a> {
        let work = Work { op: self, tables, lanes: call.lanes };
        let (rings, pixels) = (4 * self.nside.get() - 1, self.nside.npix());
        let rows = rings * (self.lmax + 1);
        let all = &tables.slabs[0];
        let mut runs = Vec::new();
        if call.is_forward() {
            runs.push(work.run("rings_forward", all, [Input(0), Unused], rows));
        }
        for slab in &tables.slabs {
            runs.push(work.legendre(slab));
            let (modes, orders) = (slab.modes.len(), slab.orders.len());
            runs.push(match call.is_forward() {
                true => work.run("forward", slab, [Unused, Output], modes),
                false => work.run("pullback", slab, [Cotangent, Unused], rings * orders),
            });
        }
        if !call.is_forward() {
            runs.push(work.run("rings_pullback", all, [Unused, Gradient(0)], pixels));
        }
        let lambda = tables.slabs.iter().map(|slab| slab.modes.len()).max().unwrap_or(0);
        let rows = 2 * rows * self.components * call.lanes;
        DeviceWork { runs, scratch: vec![rows, 2 * lambda * tables.heights.len()] }
    }
}

struct Work<'a, T> {
    op: &'a Analysis,
    tables: &'a DeviceTables<T>,
    lanes: usize,
}

impl<'a, T: DeviceNumber> Work<'a, T> {
    /// λ of a slab.
    fn legendre(&self, slab: &'a Slab<T>) -> Run<'a> {
        let (north, blocks) = (self.tables.heights.len(), slab.blocks.len() / 4);
        let sizes = [("north", north), ("blocks", blocks), ("spin", self.op.spin), ("padding", 0)];
        let bindings = vec![
            Binding::indices(&slab.blocks),
            T::binding(&slab.steps),
            T::binding(&self.tables.heights),
            T::binding(&slab.seeds),
            LEGENDRE,
        ];
        Run::new(("legendre", "forward"), &sizes, bindings, blocks * north)
    }

    /// A run over `numbers` of each component and map.
    fn run(
        &self,
        entry: &'static str,
        slab: &Slab<T>,
        [from, to]: [Binding<'a>; 2],
        numbers: usize,
    ) -> Run<'a> {
        let (op, tables) = (self.op, self.tables);
        let legendre = if entry.starts_with("rings") { Unused } else { LEGENDRE };
        let sizes = [
            ("rings", 4 * op.nside.get() - 1),
            ("lmax", op.lmax),
            ("modes", slab.modes.len()),
            ("components", op.components),
            ("spin", op.spin),
            ("pixels", op.nside.npix()),
            ("maps", self.lanes),
            ("start", slab.modes.start),
            ("first", slab.orders.start),
            ("orders", slab.orders.len()),
            ("padding0", 0),
            ("padding1", 0),
        ];
        let bindings = vec![
            Binding::indices(&tables.rings),
            Binding::indices(&tables.modes),
            Binding::indices(&tables.homes),
            T::binding(&tables.trig),
            legendre,
            from,
            ROWS,
            to,
        ];
        let invocations = numbers * op.components * self.lanes;
        Run::new(("analysis", entry), &sizes, bindings, invocations)
    }
}
