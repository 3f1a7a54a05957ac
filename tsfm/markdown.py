"""Tables as Markdown text that also reads well in a terminal."""

from collections.abc import Sequence


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table with its columns padded to equal width, text left and the rest right.

    The first column is taken for text, and so is every column that has a cell without a digit
    in front.

    Examples
    --------
    >>> print(markdown_table(["model", "mase"], [["naive", "1.25"], ["ours", "0.8"]]))
    | model | mase |
    | :---- | ---: |
    | naive | 1.25 |
    | ours  |  0.8 |
    """
    columns = list(zip(header, *rows, strict=True))
    is_text = [index == 0 or not _is_numeric(cells[1:]) for index, cells in enumerate(columns)]
    widths = [max(3, *(len(cell) for cell in cells)) for cells in columns]

    def line(cells: Sequence[str]) -> str:
        padded = [
            cell.ljust(width) if text else cell.rjust(width)
            for cell, width, text in zip(cells, widths, is_text, strict=True)
        ]
        return f"| {' | '.join(padded)} |"

    rule = [
        ":" + "-" * (width - 1) if text else "-" * (width - 1) + ":"
        for width, text in zip(widths, is_text, strict=True)
    ]
    return "\n".join([line(header), line(rule), *(line(row) for row in rows)])


def _is_numeric(cells: Sequence[str]) -> bool:
    return all(not cell or cell.lstrip("+-*")[:1].isdigit() for cell in cells)
