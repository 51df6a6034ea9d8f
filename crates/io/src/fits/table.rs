//! Binary tables: columns of numbers, big-endian, row after row.

use super::header::Header;
use crate::IoError;
use crate::source::Source;
use skyscat_healpix::UNSEEN;

/// One field of the table.
#[derive(Clone, Debug)]
pub(crate) struct Column {
    /// TTYPEn, or `COLUMNn`.
    pub(crate) name: String,
    /// TFORMn.
    pub(crate) form: String,
    /// TUNITn.
    pub(crate) unit: Option<String>,
    code: u8,
    repeat: u64,
    offset: u64,
    scale: f64,
    zero: f64,
    null: Option<i64>,
}

const FORMS: &str = "a number type (D, E, I, J, K, L or B) with a repeat count";

impl Column {
    /// Bytes of the field in each row; `None` on overflow.
    fn width(&self) -> Option<u64> {
        let size = match self.code {
            b'X' => return Some(self.repeat.div_ceil(8)),
            b'L' | b'B' | b'A' => 1,
            b'I' => 2,
            b'J' | b'E' => 4,
            b'K' | b'D' | b'C' | b'P' => 8,
            _ => 16,
        };
        self.repeat.checked_mul(size)
    }

    pub(crate) fn is_numeric(&self) -> bool {
        b"DEIJKLB".contains(&self.code)
    }

    fn element_bytes(&self) -> usize {
        match self.code {
            b'L' | b'B' => 1,
            b'I' => 2,
            b'J' | b'E' => 4,
            _ => 8,
        }
    }

    /// Appends the values of the field's bytes in one row.
    fn decode(&self, bytes: &[u8], out: &mut Vec<f64>) {
        match self.code {
            b'D' => floats(bytes, out, f64::from_be_bytes, UNSEEN, self),
            b'E' => {
                let unseen = f64::from(UNSEEN as f32);
                floats(bytes, out, |b| f64::from(f32::from_be_bytes(b)), unseen, self);
            }
            b'L' => out.extend(bytes.iter().map(|&b| match b {
                b'T' => 1.0,
                b'F' => 0.0,
                _ => UNSEEN,
            })),
            b'B' => self.integers(bytes, out, |[b]: [u8; 1]| i64::from(b)),
            b'I' => self.integers(bytes, out, |b| i64::from(i16::from_be_bytes(b))),
            b'J' => self.integers(bytes, out, |b| i64::from(i32::from_be_bytes(b))),
            _ => self.integers(bytes, out, i64::from_be_bytes),
        }
    }

    fn integers<const N: usize>(
        &self,
        bytes: &[u8],
        out: &mut Vec<f64>,
        of: impl Fn([u8; N]) -> i64,
    ) {
        out.extend(bytes.as_chunks().0.iter().map(|&b| match of(b) {
            v if Some(v) == self.null => UNSEEN,
            v => v as f64 * self.scale + self.zero,
        }));
    }
}

/// Floating columns: UNSEEN stays UNSEEN exactly, whatever the precision or scale.
fn floats<const N: usize>(
    bytes: &[u8],
    out: &mut Vec<f64>,
    of: impl Fn([u8; N]) -> f64,
    unseen: f64,
    column: &Column,
) {
    let plain = column.scale == 1.0 && column.zero == 0.0;
    out.extend(bytes.as_chunks().0.iter().map(|&b| match of(b) {
        v if v == unseen => UNSEEN,
        v if plain => v,
        v => v * column.scale + column.zero,
    }));
}

/// The layout of a table, checked against its own header.
#[derive(Debug)]
pub(crate) struct Layout {
    pub(crate) columns: Vec<Column>,
    row_bytes: u64,
    rows: u64,
}

impl Layout {
    pub(super) fn new(header: &Header) -> Result<Self, IoError> {
        if header.size("NAXIS")? != 2 || header.integer("BITPIX")? != Some(8) {
            return Err(header.refuse("NAXIS, BITPIX", "of no table", "2 axes of 8 bits"));
        }
        let (row_bytes, rows) = (header.size("NAXIS1")?, header.size("NAXIS2")?);
        let fields = header.size("TFIELDS")?;
        if row_bytes == 0 || !(1..=999).contains(&fields) {
            let given = format!("{fields} in rows of {row_bytes} bytes");
            return Err(header.refuse("TFIELDS", given, "1 to 999 in rows of at least one byte"));
        }
        let mut columns = Vec::new();
        let mut offset = 0u64;
        for field in 1..=fields {
            let column = column(header, field, offset)?;
            offset = (column.width())
                .and_then(|width| offset.checked_add(width))
                .filter(|&end| end <= row_bytes)
                .ok_or_else(|| {
                    let allowed = "columns that fit in NAXIS1 bytes";
                    header.refuse(&format!("TFORM{field}"), &column.form, allowed)
                })?;
            columns.push(column);
        }
        if offset != row_bytes {
            let allowed = "the sum of the widths of the columns";
            return Err(header.refuse("NAXIS1", row_bytes, allowed));
        }
        Ok(Self { columns, row_bytes, rows })
    }

    /// Number of values of a column, all rows together.
    pub(super) fn values(&self, column: usize) -> u64 {
        self.columns[column].repeat.saturating_mul(self.rows)
    }

    /// Reads the columns asked for, in that order; the source stands at the data.
    pub(super) fn read(
        &self,
        source: &mut Source,
        wanted: &[usize],
    ) -> Result<Vec<Vec<f64>>, IoError> {
        source.expect(self.row_bytes.saturating_mul(self.rows))?;
        let mut out: Vec<Vec<f64>> = (wanted.iter())
            .map(|&c| Vec::with_capacity(source.capacity(self.values(c) as usize)))
            .collect();
        let rows_at_once = ((1 << 20) / self.row_bytes).max(1);
        let mut buffer = Vec::new();
        let mut left = self.rows;
        while left > 0 {
            let rows = rows_at_once.min(left);
            source.next_exact(rows.saturating_mul(self.row_bytes), &mut buffer)?;
            for row in buffer.chunks_exact(self.row_bytes as usize) {
                for (&c, out) in wanted.iter().zip(&mut out) {
                    let column = &self.columns[c];
                    let start = column.offset as usize;
                    let bytes = column.repeat as usize * column.element_bytes();
                    column.decode(&row[start..start + bytes], out);
                }
            }
            left -= rows;
        }
        Ok(out)
    }

    /// Refuses a column that holds no numbers.
    pub(super) fn check_numeric(&self, column: usize, header: &Header) -> Result<(), IoError> {
        let column = &self.columns[column];
        if column.is_numeric() {
            return Ok(());
        }
        let given = format!("{:?} in column {:?}", column.form, column.name);
        Err(header.refuse("TFORM", given, FORMS))
    }
}

fn column(header: &Header, field: u64, offset: u64) -> Result<Column, IoError> {
    let key = |stem: &str| format!("{stem}{field}");
    let form_key = key("TFORM");
    let form = header.text(&form_key)?;
    let form = form.ok_or_else(|| header.refuse(&form_key, "missing", FORMS))?;
    let refuse = || header.refuse(&form_key, format!("{form:?}"), FORMS);
    let digits = form.bytes().take_while(u8::is_ascii_digit).count();
    let repeat = match &form[..digits] {
        "" => 1,
        digits => digits.parse().map_err(|_| refuse())?,
    };
    let code = *form.as_bytes().get(digits).ok_or_else(refuse)?;
    if !b"LXBIJKAEDCMPQ".contains(&code) || (form.len() > digits + 1 && b"DEIJKLB".contains(&code))
    {
        return Err(refuse());
    }
    Ok(Column {
        name: match header.text(&key("TTYPE"))? {
            Some(name) => name.to_owned(),
            None => format!("COLUMN{field}"),
        },
        form: form.to_owned(),
        unit: header.text(&key("TUNIT"))?.map(str::to_owned),
        code,
        repeat,
        offset,
        scale: header.real(&key("TSCAL"), 1.0)?,
        zero: header.real(&key("TZERO"), 0.0)?,
        null: header.integer(&key("TNULL"))?,
    })
}
