//! A reader of small records, with three planted bugs: one kind of record each.

pub struct Bad;

/// The first byte says what it is: a name, a span, or a place in a table.
pub fn parse(data: &[u8]) -> Result<u32, Bad> {
    let (kind, rest) = data.split_first().ok_or(Bad)?;
    if rest.len() < 2 {
        return Err(Bad);
    }
    match kind {
        b'N' => Ok(name(rest)),
        b'S' => Ok(span(rest)),
        b'T' => Ok(table(rest)),
        _ => Err(Bad),
    }
}

/// Its length, then its letters: the length is believed.
#[inline(never)]
fn name(rest: &[u8]) -> u32 {
    let letters = &rest[1..1 + rest[0] as usize];
    letters.iter().map(|&b| u32::from(b)).sum()
}

/// From where to where: the order is not looked at.
#[inline(never)]
fn span(rest: &[u8]) -> u32 {
    u32::from(rest[1] - rest[0])
}

/// The number of an entry: not bounded.
#[inline(never)]
fn table(rest: &[u8]) -> u32 {
    let entries: Vec<u32> = (0..u32::from(rest[0] % 8) + 1).collect();
    unsafe { *entries.as_ptr().add(rest[1] as usize % 16) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_summed() {
        assert!(matches!(parse(b"N\x02ab"), Ok(195)));
    }

    #[test]
    fn other_kinds_are_bad() {
        assert!(parse(b"X12").is_err());
    }
}
