//! What a client id or secret may look like, wherever it came from.

/// More than any credential; a larger file is some other file.
pub(crate) const MAX_BYTES: usize = 64 * 1024;

/// What is wrong with a credential's content. Says nothing of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidContent {
    /// Nothing, or a line break alone.
    #[error("is empty")]
    Empty,
    /// Spaces and line breaks only.
    #[error("is blank")]
    Blank,
    /// Binary, or UTF-16 as some shells write it.
    #[error("contains a NUL byte")]
    Nul,
    /// An inner line break, an escape sequence and the like.
    #[error("contains a line break or another control character")]
    Control,
    /// Not UTF-8.
    #[error("is not UTF-8 text")]
    NotText,
    /// Larger than 64 KiB.
    #[error("is larger than 64 KiB")]
    TooLarge,
}

/// The credential in `bytes`: less one trailing line break, which editors and `echo` add.
pub(crate) fn clean(bytes: &[u8]) -> Result<&str, InvalidContent> {
    if bytes.len() > MAX_BYTES {
        return Err(InvalidContent::TooLarge);
    }
    if bytes.contains(&0) {
        return Err(InvalidContent::Nul);
    }
    let text = std::str::from_utf8(bytes).map_err(|_| InvalidContent::NotText)?;
    let text = text.strip_suffix('\n').map_or(text, |line| line.strip_suffix('\r').unwrap_or(line));
    if text.is_empty() {
        return Err(InvalidContent::Empty);
    }
    if text.trim().is_empty() {
        return Err(InvalidContent::Blank);
    }
    if text.chars().any(char::is_control) {
        return Err(InvalidContent::Control);
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_trailing_line_break_is_trimmed_and_no_more() {
        assert_eq!(clean(b"s3cret"), Ok("s3cret"));
        assert_eq!(clean(b"s3cret\n"), Ok("s3cret"));
        assert_eq!(clean(b"s3cret\r\n"), Ok("s3cret"));
        assert_eq!(clean(b" s3cret "), Ok(" s3cret "));
        assert_eq!(clean(b"s3cret\n\n"), Err(InvalidContent::Control));
        assert_eq!(clean(b"s3cret\r"), Err(InvalidContent::Control));
    }

    #[test]
    fn what_is_no_credential_is_told_apart() {
        assert_eq!(clean(b""), Err(InvalidContent::Empty));
        assert_eq!(clean(b"\n"), Err(InvalidContent::Empty));
        assert_eq!(clean(b" \t \n"), Err(InvalidContent::Blank));
        assert_eq!(clean(b"a\0b"), Err(InvalidContent::Nul));
        assert_eq!(clean(b"a\nb"), Err(InvalidContent::Control));
        assert_eq!(clean(b"\xff\xfea"), Err(InvalidContent::NotText));
        assert_eq!(clean(&vec![b'a'; MAX_BYTES + 1]), Err(InvalidContent::TooLarge));
        assert!(clean(&vec![b'a'; MAX_BYTES]).is_ok());
    }
}
