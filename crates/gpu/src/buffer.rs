//! Memory of a device.
//!
//! Numbers are f32, or f64 on a device opened for them; on the host they are f64, which
//! holds both.

use crate::{Bound, Device, DeviceError};

/// Bytes of the largest and of the smallest buffer by which memory is measured.
const LARGEST_ASKED: u64 = 1 << 30;
const SMALLEST_ASKED: u64 = 1 << 24;

/// A piece of a device's memory.
#[derive(Clone, Debug)]
pub struct Buffer {
    pub(crate) inner: wgpu::Buffer,
    pub(crate) numbers: usize,
    /// Bytes of a number.
    each: usize,
}

impl Buffer {
    /// Its length in numbers.
    pub fn numbers(&self) -> usize {
        self.numbers
    }

    /// Its length in bytes.
    pub fn bytes(&self) -> u64 {
        self.offset(self.numbers)
    }

    /// Bytes before a number.
    pub(crate) fn offset(&self, number: usize) -> u64 {
        (self.each * number) as u64
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
        self.buffer(label, (numbers, self.number_bytes()), uses)
    }

    /// Whether buffers of so many numbers fit beside each other, by asking the
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
            let needed = (self.number_bytes() * numbers.iter().sum::<usize>()) as u64;
            *reason = format!("it gave {} of {} MiB", given >> 20, needed.div_ceil(1 << 20));
        }
        held.iter().for_each(|buffer| buffer.inner.destroy());
        drop(held);
        // What was given back is free once the device has looked.
        let _ = self.wait();
        fit
    }

    /// Bytes that the driver gives in buffers beside each other, to some MiB and at most
    /// `most`, by asking for them; they are given back. No adapter tells its memory.
    ///
    /// # Errors
    /// [`DeviceError`] if the device fails.
    pub fn memory(&self, most: u64) -> Result<u64, DeviceError> {
        let mut size = self.adapter.allowed.buffer_bytes.min(LARGEST_ASKED).min(most);
        let (mut held, mut given) = (Vec::new(), 0);
        while size >= SMALLEST_ASKED.min(most) && size > 0 && given + size <= most {
            match self.long("memory", (size / self.number_bytes() as u64) as usize) {
                Ok(buffer) => {
                    given += buffer.bytes();
                    held.push(buffer);
                }
                Err(DeviceError::Memory { .. }) => size /= 2,
                Err(error) => return Err(error),
            }
        }
        held.iter().for_each(|buffer: &Buffer| buffer.inner.destroy());
        self.wait()?;
        Ok(given)
    }

    /// Memory that kernels read, filled with these numbers or indices as they are.
    ///
    /// # Errors
    /// As [`Device::storage`].
    pub fn table<N: bytemuck::Pod>(&self, label: &str, data: &[N]) -> Result<Buffer, DeviceError> {
        let bytes: &[u8] = bytemuck::cast_slice(data);
        self.sees_bytes(label, bytes.len())?;
        let uses = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST;
        let buffer = self.buffer(label, (data.len(), size_of::<N>()), uses)?;
        self.queue.write_buffer(&buffer.inner, 0, bytes);
        Ok(buffer)
    }

    /// The same in the device's precision.
    ///
    /// # Errors
    /// As [`Device::storage`].
    pub fn constants(&self, label: &str, data: &[f64]) -> Result<Buffer, DeviceError> {
        match self.is_double() {
            true => self.table(label, data),
            false => self.table(label, &narrow(data)),
        }
    }

    /// Sizes that kernels read, filled with these words.
    ///
    /// # Errors
    /// As [`Device::storage`].
    pub fn uniforms(&self, label: &str, words: &[u32]) -> Result<Buffer, DeviceError> {
        let uses = wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST;
        let buffer = self.buffer(label, (words.len(), 4), uses)?;
        self.queue.write_buffer(&buffer.inner, 0, bytemuck::cast_slice(words));
        Ok(buffer)
    }

    /// Memory that the host reads after a copy into it.
    ///
    /// # Errors
    /// [`DeviceError::Limit`] if it is larger than a buffer may be.
    pub fn staging(&self, label: &str, numbers: usize) -> Result<Buffer, DeviceError> {
        let uses = wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST;
        self.buffer(label, (numbers, self.number_bytes()), uses)
    }

    /// Writes numbers to a buffer before the next submission.
    ///
    /// # Panics
    /// If they do not fit.
    pub fn write(&self, buffer: &Buffer, at: usize, data: &[f64]) {
        assert!(at + data.len() <= buffer.numbers, "numbers of a buffer");
        let write = |bytes: &[u8]| self.queue.write_buffer(&buffer.inner, buffer.offset(at), bytes);
        match self.is_double() {
            true => write(bytemuck::cast_slice(data)),
            false => write(bytemuck::cast_slice(&narrow(data))),
        }
    }

    /// Waits for all work, then reads a staging buffer.
    ///
    /// # Errors
    /// [`DeviceError::Failed`] if the work or the device failed.
    ///
    /// # Panics
    /// If `out` is longer than the buffer.
    pub fn read(&self, staging: &Buffer, out: &mut [f64]) -> Result<(), DeviceError> {
        assert!(out.len() <= staging.numbers, "numbers of a buffer");
        if out.is_empty() {
            return self.wait();
        }
        let slice = staging.inner.slice(..staging.offset(out.len()));
        slice.map_async(wgpu::MapMode::Read, |_| ());
        self.wait()?;
        let view = slice.get_mapped_range().map_err(|e| self.failed(e.to_string()))?;
        match self.is_double() {
            true => out.copy_from_slice(bytemuck::cast_slice(&view)),
            false => {
                let single: &[f32] = bytemuck::cast_slice(&view);
                out.iter_mut().zip(single).for_each(|(out, &x)| *out = f64::from(x));
            }
        }
        drop(view);
        staging.inner.unmap();
        Ok(())
    }

    fn buffer(
        &self,
        label: &str,
        (numbers, each): (usize, usize),
        usage: wgpu::BufferUsages,
    ) -> Result<Buffer, DeviceError> {
        // A binding of no bytes is not allowed.
        let numbers = numbers.max(4);
        let size = (each * numbers) as u64;
        self.within(label, size, self.adapter.allowed.buffer_bytes)?;
        let settings =
            wgpu::BufferDescriptor { label: Some(label), size, usage, mapped_at_creation: false };
        let inner = self.checked(|| self.device.create_buffer(&settings))?;
        Ok(Buffer { inner, numbers, each })
    }

    /// Whether a kernel may see so many numbers at once.
    ///
    /// # Errors
    /// [`DeviceError::Limit`] if not.
    pub fn sees(&self, label: &str, numbers: usize) -> Result<(), DeviceError> {
        self.sees_bytes(label, self.number_bytes() * numbers)
    }

    fn sees_bytes(&self, label: &str, bytes: usize) -> Result<(), DeviceError> {
        let allowed = self.adapter.allowed;
        let allowed = allowed.binding_bytes.min(allowed.buffer_bytes);
        self.within(label, bytes as u64, allowed)
    }

    fn within(&self, label: &str, given: u64, allowed: u64) -> Result<(), DeviceError> {
        if given <= allowed {
            return Ok(());
        }
        let what = format!("bytes of {label}");
        Err(DeviceError::Limit { adapter: self.adapter.name.clone(), what, given, allowed })
    }
}

/// Rounded to f32.
fn narrow(data: &[f64]) -> Vec<f32> {
    data.iter().map(|&x| x as f32).collect()
}
