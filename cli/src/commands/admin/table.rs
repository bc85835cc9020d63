//! Rows for people: columns as wide as their longest cell.

/// The table as text, a line a row, under `head`.
pub(super) fn text<const N: usize>(head: [&str; N], rows: &[[String; N]]) -> String {
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.max().unwrap_or(0).max(head[column].len())
    };
    let widths: [usize; N] = std::array::from_fn(width);
    let line = |cells: [&str; N]| {
        let padded = cells.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    let rows = rows.iter().map(|row| line(std::array::from_fn(|column| row[column].as_str())));
    std::iter::once(line(head)).chain(rows).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_longest_cell() {
        let rows = [["1".to_owned(), "a long one".to_owned()], ["22".to_owned(), "b".to_owned()]];
        assert_eq!(text(["ID", "NAME"], &rows), "ID  NAME\n1   a long one\n22  b");
        assert_eq!(text(["ID"], &[]), "ID");
    }
}
