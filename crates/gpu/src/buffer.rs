//! Memory of a device.

use crate::{Bound, Device, DeviceError};

/// A piece of a device's memory, in 32-bit numbers.
#[derive(Clone, Debug)]
pub struct Buffer {
    pub(crate) inner: wgpu::Buffer,
    pub(crate) numbers: usize,
}

impl Buffer {
    /// Its length in 32-bit numbers.
    pub fn numbers(&self) -> usize {
        self.numbers
    }

    /// Its length in bytes.
    pub fn bytes(&self) -> u64 {
        4 * self.numbers as u64
    }

    /// Some of its numbers as a binding; the first is a multiple of 64.
    pub fn piece(&self, first: usize, count: usize) -> Bound<'_> {
        Bound { buffer: self, range: Some((first, count)) }
    }

    /// Whether both names stand for one piece of memory.
    pub fn is(&self, other: &Self) -> bool {
        self.inner == other.inner
    }
}

impl Device {
    /// Memory that kernels read and write, zero at first.
    ///
    /// # Errors
    /// [`DeviceError::Limit`] if it is larger than a buffer, or than what a kernel
    /// may see of one.
    pub fn storage(&self, label: &str, numbers: usize) -> Result<Buffer, DeviceError> {
        self.sees(label, numbers)?;
        self.long(label, numbers)
    }

    /// The same, of which kernels see one piece at a time.
    ///
    /// # Errors
    /// [`DeviceError::Limit`] if it is larger than a buffer.
    pub fn long(&self, label: &str, numbers: usize) -> Result<Buffer, DeviceError> {
        let uses = wgpu::BufferUsages::STORAGE
            | wgpu::BufferUsages::COPY_DST
            | wgpu::BufferUsages::COPY_SRC;
        self.buffer(label, numbers, uses)
    }

    /// Whether buffers of so many 32-bit numbers fit beside each other, by asking the
    /// driver for all of them; they are given back.
    ///
    /// # Errors
    /// [`DeviceError::Limit`] for a buffer that is larger than any may be,
    /// [`DeviceError::Memory`] if the device has not so much memory.
    pub fn fits(&self, numbers: impl Iterator<Item = usize>) -> Result<(), DeviceError> {
        let numbers: Vec<usize> = numbers.collect();
        let mut held: Vec<Buffer> = Vec::new();
        let mut fit = Ok(());
        for &n in &numbers {
            match self.long("a buffer that is needed", n) {
                Ok(buffer) => held.push(buffer),
                Err(error) => {
                    fit = Err(error);
                    break;
                }
            }
        }
        if let Err(DeviceError::Memory { reason, .. }) = &mut fit {
            let given: u64 = held.iter().map(Buffer::bytes).sum();
            let needed: u64 = numbers.iter().map(|&n| 4 * n as u64).sum();
            *reason = format!("it gave {} of {} MiB", given >> 20, needed.div_ceil(1 << 20));
        }
        held.iter().for_each(|buffer| buffer.inner.destroy());
        drop(held);
        // What was given back is free once the device has looked.
        let _ = self.wait();
        fit
    }

    /// Memory that kernels read, filled with these 32-bit numbers.
    ///
    /// # Errors
    /// As [`Device::storage`].
    pub fn table<N: bytemuck::Pod>(&self, label: &str, data: &[N]) -> Result<Buffer, DeviceError> {
        let bytes: &[u8] = bytemuck::cast_slice(data);
        self.sees(label, bytes.len() / 4)?;
        let uses = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST;
        let buffer = self.buffer(label, bytes.len() / 4, uses)?;
        self.queue.write_buffer(&buffer.inner, 0, bytes);
        Ok(buffer)
    }

    /// Sizes that kernels read, filled with these words.
    ///
    /// # Errors
    /// As [`Device::storage`].
    pub fn uniforms(&self, label: &str, words: &[u32]) -> Result<Buffer, DeviceError> {
        let uses = wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST;
        let buffer = self.buffer(label, words.len(), uses)?;
        self.queue.write_buffer(&buffer.inner, 0, bytemuck::cast_slice(words));
        Ok(buffer)
    }

    /// Memory that the host reads after a copy into it.
    ///
    /// # Errors
    /// [`DeviceError::Limit`] if it is larger than a buffer may be.
    pub fn staging(&self, label: &str, numbers: usize) -> Result<Buffer, DeviceError> {
        self.buffer(label, numbers, wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST)
    }

    /// Writes numbers to a buffer before the next submission.
    ///
    /// # Panics
    /// If they do not fit.
    pub fn write(&self, buffer: &Buffer, at: usize, data: &[f32]) {
        assert!(at + data.len() <= buffer.numbers, "numbers of a buffer");
        self.queue.write_buffer(&buffer.inner, 4 * at as u64, bytemuck::cast_slice(data));
    }

    /// Waits for all work, then reads a staging buffer.
    ///
    /// # Errors
    /// [`DeviceError::Failed`] if the work or the device failed.
    ///
    /// # Panics
    /// If `out` is longer than the buffer.
    pub fn read(&self, staging: &Buffer, out: &mut [f32]) -> Result<(), DeviceError> {
        assert!(out.len() <= staging.numbers, "numbers of a buffer");
        if out.is_empty() {
            return self.wait();
        }
        let slice = staging.inner.slice(..4 * out.len() as u64);
        slice.map_async(wgpu::MapMode::Read, |_| ());
        self.wait()?;
        let view = slice.get_mapped_range().map_err(|e| self.failed(e.to_string()))?;
        out.copy_from_slice(bytemuck::cast_slice(&view));
        drop(view);
        staging.inner.unmap();
        Ok(())
    }

    fn buffer(
        &self,
        label: &str,
        numbers: usize,
        usage: wgpu::BufferUsages,
    ) -> Result<Buffer, DeviceError> {
        // A binding of no bytes is not allowed.
        let numbers = numbers.max(4);
        let size = 4 * numbers as u64;
        self.within(label, size, self.adapter.allowed.buffer_bytes)?;
        let settings =
            wgpu::BufferDescriptor { label: Some(label), size, usage, mapped_at_creation: false };
        let inner = self.checked(|| self.device.create_buffer(&settings))?;
        Ok(Buffer { inner, numbers })
    }

    /// Whether a kernel may see so many numbers at once.
    ///
    /// # Errors
    /// [`DeviceError::Limit`] if not.
    pub fn sees(&self, label: &str, numbers: usize) -> Result<(), DeviceError> {
        let allowed = self.adapter.allowed;
        let allowed = allowed.binding_bytes.min(allowed.buffer_bytes);
        self.within(label, 4 * numbers as u64, allowed)
    }

    fn within(&self, label: &str, given: u64, allowed: u64) -> Result<(), DeviceError> {
        if given <= allowed {
            return Ok(());
        }
        let what = format!("bytes of {label}");
        Err(DeviceError::Limit { adapter: self.adapter.name.clone(), what, given, allowed })
    }
}
