//! The messages to and from the Java driver: lists of fields, as described in `Driver.java`.

use std::io::{self, Read, Write};

/// Bytes, or Java's null.
pub(crate) type Field = Option<Vec<u8>>;

/// Writes one message.
pub(crate) fn write<'a>(
    to: &mut impl Write,
    fields: impl ExactSizeIterator<Item = Option<&'a [u8]>>,
) -> io::Result<()> {
    to.write_all(&length(fields.len())?.to_be_bytes())?;
    for field in fields {
        match field {
            Some(bytes) => {
                to.write_all(&length(bytes.len())?.to_be_bytes())?;
                to.write_all(bytes)?;
            }
            None => to.write_all(&(-1i32).to_be_bytes())?,
        }
    }
    Ok(())
}

/// Reads one message.
pub(crate) fn read(from: &mut impl Read) -> io::Result<Vec<Field>> {
    let count = read_number(from)?;
    (0..count).map(|_| read_field(from)).collect()
}

fn read_field(from: &mut impl Read) -> io::Result<Field> {
    let Ok(length) = u64::try_from(read_number(from)?) else { return Ok(None) };
    let mut bytes = Vec::new();
    // Grows with the received bytes, not with the announced length.
    if from.take(length).read_to_end(&mut bytes)? as u64 != length {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(Some(bytes))
}

fn read_number(from: &mut impl Read) -> io::Result<i32> {
    let mut bytes = [0; 4];
    from.read_exact(&mut bytes)?;
    Ok(i32::from_be_bytes(bytes))
}

fn length(length: usize) -> io::Result<i32> {
    i32::try_from(length)
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, format!("{length} bytes in one field")))
}

#[cfg(test)]
mod tests {
    use super::{read, write};

    #[test]
    fn a_message_is_read_as_it_was_written() {
        let fields = [Some(b"ok".as_slice()), None, Some(b"".as_slice())];
        let mut bytes = Vec::new();
        write(&mut bytes, fields.into_iter()).unwrap();
        let read_back = read(&mut bytes.as_slice()).unwrap();
        assert_eq!(read_back, fields.map(|field| field.map(<[u8]>::to_vec)));
    }

    #[test]
    fn a_message_cut_short_is_an_error() {
        let mut bytes = Vec::new();
        write(&mut bytes, [Some(b"value".as_slice())].into_iter()).unwrap();
        for end in 0..bytes.len() {
            assert!(read(&mut &bytes[..end]).is_err(), "cut at {end}");
        }
    }
}
