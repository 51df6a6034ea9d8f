//! `skyscat plot`: pictures of maps.

use crate::Ending;
use crate::args::PlotCommand;
use anyhow::{Result, bail};

pub(crate) fn run(_command: PlotCommand) -> Result<Ending> {
    bail!("not drawn yet")
}
