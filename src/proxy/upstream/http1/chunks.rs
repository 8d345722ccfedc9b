//! Chunked content (RFC 9112 §7.1) becomes content.

use bytes::{Buf, Bytes};

use super::Error;

/// Extensions of chunks and trailers, both of which nobody needs, in all of one answer.
const MOST_BESIDES: u32 = 64 * 1024;

/// How far chunked content has been read. Where in its bytes reads begin and end does not matter.
#[derive(Debug)]
pub(super) struct Chunks {
    at: At,
    besides: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    /// The first digit of a size, of which there must be one.
    Size,
    Digits(u64),
    /// White space after the size.
    Space(u64),
    /// Up to the end of the line.
    Extension(u64),
    SizeLf(u64),
    Data(u64),
    DataCr,
    DataLf,
    /// The beginning of a line after the last chunk: of a trailer field, or the one that is the end.
    Line,
    Trailer,
    TrailerLf,
    LastLf,
    End,
}

impl Chunks {
    pub(super) fn new() -> Self {
        Self { at: At::Size, besides: 0 }
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.at == At::End
    }

    /// Content from the front of `read`, and takes what else it understands. `None` if it needs more, or none follows.
    pub(super) fn next(&mut self, read: &mut Bytes) -> Result<Option<Bytes>, Error> {
        let mut content = None;
        // Beyond the content, so that whoever has the last of it knows that it is.
        while let Some(byte) = read.first() {
            match self.at {
                At::End => break,
                At::Data(_) if content.is_some() => break,
                At::Data(left) => {
                    let length = usize::try_from(left).map_or(read.len(), |left| left.min(read.len()));
                    content = Some(read.split_to(length));
                    let left = left - length as u64;
                    self.at = if left == 0 { At::DataCr } else { At::Data(left) };
                }
                at => {
                    match self.after(at, *byte) {
                        Ok(after) => self.at = after,
                        // Content that came before what makes no sense is content. It is asked for again.
                        Err(_) if content.is_some() => break,
                        Err(error) => return Err(error),
                    }
                    read.advance(1);
                }
            }
        }
        Ok(content)
    }

    /// Where `byte` leads from `at`.
    fn after(&mut self, at: At, byte: u8) -> Result<At, Error> {
        Ok(match (at, byte) {
            (At::Size, _) => At::Digits(hex(byte).ok_or(INVALID)?),
            (At::Digits(size) | At::Space(size) | At::Extension(size), b'\r') => At::SizeLf(size),
            (At::Digits(size) | At::Space(size), b';') => At::Extension(size),
            (At::Digits(size) | At::Space(size), b' ' | b'\t') => At::Space(size),
            (At::Digits(size), _) => {
                let digit = hex(byte).ok_or(INVALID)?;
                At::Digits(size.checked_mul(16).ok_or(INVALID)? + digit)
            }
            // A line that some would end here and others not.
            (At::Extension(_) | At::Line | At::Trailer, b'\n') => return Err(INVALID),
            (At::Extension(size), _) => {
                self.beside()?;
                At::Extension(size)
            }
            (At::SizeLf(0) | At::TrailerLf, b'\n') => At::Line,
            (At::SizeLf(size), b'\n') => At::Data(size),
            (At::DataCr, b'\r') => At::DataLf,
            (At::DataLf, b'\n') => At::Size,
            (At::Line, b'\r') => At::LastLf,
            (At::Trailer, b'\r') => At::TrailerLf,
            (At::Line | At::Trailer, _) => {
                self.beside()?;
                At::Trailer
            }
            (At::LastLf, b'\n') => At::End,
            _ => return Err(INVALID),
        })
    }

    fn beside(&mut self) -> Result<(), Error> {
        self.besides += 1;
        if self.besides > MOST_BESIDES {
            Err(Error::Malformed("there is no end of what is beside the chunks"))
        } else {
            Ok(())
        }
    }
}

const INVALID: Error = Error::Malformed("invalid chunk");

fn hex(byte: u8) -> Option<u64> {
    char::from(byte).to_digit(16).map(u64::from)
}
