use std::path::Path;

use clap::{Args, ValueEnum};
use yuragi::{
    Failure,
    graph::Collective,
    io::table::{Opened, Reading},
};

/// Yes or no.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Answer {
    Yes,
    No,
}

/// How tables are read; without any of these, as their content shows.
#[derive(Args)]
#[command(next_help_heading = "Reading tables")]
pub struct TableFlags {
    /// Whether the first row of a text names the columns
    #[arg(long, value_enum)]
    header: Option<Answer>,
    /// The columns to take: names, places from 1, ranges such as 2-5, parted by commas
    #[arg(long, value_name = "COLUMNS")]
    columns: Vec<String>,
    /// Columns to leave out, such as labels of rows
    #[arg(long, value_name = "COLUMNS")]
    skip_columns: Vec<String>,
    /// What parts the columns of a text: a character, or `tab` or `space`
    #[arg(long, value_name = "CHARACTER", value_parser = delimiter)]
    delimiter: Option<char>,
    /// The decimal point of a text: `.` or `,`
    #[arg(long, value_name = "POINT", value_parser = decimal, allow_hyphen_values = true)]
    decimal: Option<char>,
}

impl TableFlags {
    /// The table of a file and what is to be said of its reading.
    pub fn open(&self, path: &Path, ranks: &dyn Collective) -> Result<Opened, Failure> {
        let reading = Reading {
            header: self.header.map(|answer| answer == Answer::Yes),
            delimiter: self.delimiter,
            decimal: self.decimal,
            columns: self.columns.clone(),
            skip: self.skip_columns.clone(),
        };
        Ok(reading.open_on(path, ranks)?)
    }
}

fn delimiter(text: &str) -> Result<char, String> {
    let mut chars = text.chars();
    match (text, chars.next(), chars.next()) {
        ("tab" | "\\t", ..) => Ok('\t'),
        ("space" | "blank", ..) => Ok(' '),
        ("comma", ..) => Ok(','),
        ("semicolon", ..) => Ok(';'),
        (_, Some(c), None) if c.is_ascii() && !c.is_ascii_alphanumeric() && !"\"\n\r.+-#".contains(c) => Ok(c),
        _ => Err("it must be one character such as , ; | or the word tab or space".to_owned()),
    }
}

fn decimal(text: &str) -> Result<char, String> {
    match text {
        "." | "point" => Ok('.'),
        "," | "comma" => Ok(','),
        _ => Err("it must be . or ,".to_owned()),
    }
}
