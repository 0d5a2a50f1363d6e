//! From text to words, texts and marks.

use super::{HclError, MAX_DEPTH};

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token {
    Word(String),
    /// `None` when it is a template.
    Text(Option<String>),
    Mark(char),
    NewLine,
}

pub(super) struct Lexer<'a> {
    chars: std::iter::Peekable<std::str::Chars<'a>>,
    line: usize,
}

impl<'a> Lexer<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        Self {
            chars: text.chars().peekable(),
            line: 1,
        }
    }

    fn next(&mut self) -> Option<char> {
        let next = self.chars.next();
        self.line += usize::from(next == Some('\n'));
        next
    }

    fn take(&mut self, wanted: char) -> bool {
        self.chars.peek() == Some(&wanted) && self.next().is_some()
    }

    pub(super) fn run(mut self) -> Result<Vec<(Token, usize)>, HclError> {
        let mut tokens = Vec::new();
        loop {
            let line = self.line;
            let Some(next) = self.next() else {
                return Ok(tokens);
            };
            let token = match next {
                '\n' => Token::NewLine,
                c if c.is_whitespace() => continue,
                '#' => {
                    self.comment();
                    continue;
                }
                '/' if self.take('/') => {
                    self.comment();
                    continue;
                }
                '/' if self.take('*') => {
                    self.long_comment(line)?;
                    continue;
                }
                '"' => Token::Text(self.text(line, 0)?),
                '<' if self.take('<') => {
                    self.heredoc(line)?;
                    Token::Text(None)
                }
                c if is_word(c) => {
                    let mut word = String::from(c);
                    while let Some(&c) = self.chars.peek()
                        && (is_word(c) || c == '-')
                    {
                        word.push(c);
                        self.next();
                    }
                    Token::Word(word)
                }
                c => Token::Mark(c),
            };
            tokens.push((token, line));
        }
    }

    /// The line's end stays: it ends an attribute.
    fn comment(&mut self) {
        while self.chars.peek().is_some_and(|&c| c != '\n') {
            self.next();
        }
    }

    fn long_comment(&mut self, line: usize) -> Result<(), HclError> {
        let mut last = ' ';
        while let Some(next) = self.next() {
            if last == '*' && next == '/' {
                return Ok(());
            }
            last = next;
        }
        Err(HclError {
            line,
            message: "a comment is not closed",
        })
    }

    /// After the opening quote. `None` when the text is a template.
    fn text(&mut self, line: usize, depth: usize) -> Result<Option<String>, HclError> {
        let open = HclError {
            line,
            message: "a text is not closed",
        };
        let mut text = String::new();
        let mut literal = true;
        loop {
            match self.next().ok_or_else(|| open.clone())? {
                '"' => return Ok(literal.then_some(text)),
                '\n' => return Err(open),
                '\\' => match self.next().ok_or_else(|| open.clone())? {
                    'n' => text.push('\n'),
                    'r' => text.push('\r'),
                    't' => text.push('\t'),
                    c @ ('"' | '\\') => text.push(c),
                    // Rare enough that the value counts as unreadable.
                    _ => literal = false,
                },
                sign @ ('$' | '%') => {
                    text.push(sign);
                    if self.take(sign) {
                        // `$${` is the escape for `${`.
                        if self.take('{') {
                            text.push('{');
                        } else {
                            text.push(sign);
                        }
                    } else if self.take('{') {
                        literal = false;
                        self.template(line, depth + 1)?;
                    }
                }
                c => text.push(c),
            }
        }
    }

    /// After `${`, up to its closing brace; texts inside may hold braces of their own.
    fn template(&mut self, line: usize, depth: usize) -> Result<(), HclError> {
        if depth > MAX_DEPTH {
            return Err(HclError {
                line,
                message: "it is nested too deeply",
            });
        }
        let mut open = 1_usize;
        while let Some(next) = self.next() {
            match next {
                '{' => open += 1,
                '}' if open == 1 => return Ok(()),
                '}' => open -= 1,
                '"' => {
                    self.text(line, depth)?;
                }
                _ => {}
            }
        }
        Err(HclError {
            line,
            message: "a template is not closed",
        })
    }

    /// After `<<`, up to the line that repeats the mark.
    fn heredoc(&mut self, line: usize) -> Result<(), HclError> {
        self.take('-');
        let read_line = |lexer: &mut Self| {
            let mut read = String::new();
            while let Some(&c) = lexer.chars.peek()
                && c != '\n'
            {
                read.push(c);
                lexer.next();
            }
            read.trim().to_owned()
        };
        let mark = read_line(self);
        while self.next().is_some() {
            if read_line(self) == mark {
                return Ok(());
            }
        }
        Err(HclError {
            line,
            message: "a heredoc is not closed",
        })
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}
