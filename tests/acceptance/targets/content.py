"""What the sites are about: a small library's books, readers and loans, the same on every start."""

from dataclasses import dataclass
from datetime import date, timedelta

# Author, year of birth, and the titles with year of publication and genre.
_BOOKS = """
Jane Austen|1775|Sense and Sensibility,1811,novel|Pride and Prejudice,1813,novel|Mansfield Park,1814,novel|Emma,1815,novel|Persuasion,1817,novel
Mary Shelley|1797|Frankenstein,1818,horror|The Last Man,1826,science fiction
Edgar Allan Poe|1809|Tales of the Grotesque and Arabesque,1840,horror|The Raven,1845,poetry
Charles Dickens|1812|Oliver Twist,1838,novel|A Christmas Carol,1843,novel|David Copperfield,1850,novel|Bleak House,1853,novel|Hard Times,1854,novel|A Tale of Two Cities,1859,history|Great Expectations,1861,novel
Charlotte Brontë|1816|Jane Eyre,1847,novel|Shirley,1849,novel|Villette,1853,novel
Emily Brontë|1818|Wuthering Heights,1847,novel
George Eliot|1819|Adam Bede,1859,novel|The Mill on the Floss,1860,novel|Silas Marner,1861,novel|Middlemarch,1871,novel
Herman Melville|1819|Typee,1846,travel|Moby-Dick,1851,adventure|Bartleby the Scrivener,1853,novel
Gustave Flaubert|1821|Madame Bovary,1857,novel|Sentimental Education,1869,novel
Fyodor Dostoevsky|1821|Notes from Underground,1864,novel|Crime and Punishment,1866,crime|The Idiot,1869,novel|The Brothers Karamazov,1880,crime
Wilkie Collins|1824|The Woman in White,1860,crime|The Moonstone,1868,crime
Jules Verne|1828|Journey to the Centre of the Earth,1864,science fiction|Twenty Thousand Leagues Under the Seas,1870,science fiction|Around the World in Eighty Days,1872,adventure|The Mysterious Island,1875,adventure
Leo Tolstoy|1828|War and Peace,1869,history|Anna Karenina,1878,novel|The Death of Ivan Ilyich,1886,novel
Emily Dickinson|1830|Poems,1890,poetry
Lewis Carroll|1832|Alice's Adventures in Wonderland,1865,children|Through the Looking-Glass,1871,children|The Hunting of the Snark,1876,poetry
Louisa May Alcott|1832|Little Women,1868,children|Little Men,1871,children
Mark Twain|1835|The Innocents Abroad,1869,travel|The Adventures of Tom Sawyer,1876,children|Life on the Mississippi,1883,travel|Adventures of Huckleberry Finn,1884,adventure
Thomas Hardy|1840|Far from the Madding Crowd,1874,novel|The Return of the Native,1878,novel|Tess of the d'Urbervilles,1891,novel|Jude the Obscure,1895,novel
Émile Zola|1840|Thérèse Raquin,1867,crime|Nana,1880,novel|Germinal,1885,novel
Henry James|1843|Daisy Miller,1878,novel|The Portrait of a Lady,1881,novel|The Turn of the Screw,1898,horror
Bram Stoker|1847|Dracula,1897,horror|The Jewel of Seven Stars,1903,horror
Robert Louis Stevenson|1850|Travels with a Donkey in the Cevennes,1879,travel|Treasure Island,1883,adventure|Kidnapped,1886,adventure|Strange Case of Dr Jekyll and Mr Hyde,1886,horror
Kate Chopin|1850|The Awakening,1899,novel
Oscar Wilde|1854|The Picture of Dorian Gray,1890,novel|The Importance of Being Earnest,1895,play|The Ballad of Reading Gaol,1898,poetry
Joseph Conrad|1857|Heart of Darkness,1899,novel|Lord Jim,1900,adventure|Nostromo,1904,adventure|The Secret Agent,1907,crime
Selma Lagerlöf|1858|Gösta Berling's Saga,1891,novel|The Wonderful Adventures of Nils,1906,children
Arthur Conan Doyle|1859|A Study in Scarlet,1887,crime|The Sign of the Four,1890,crime|The Hound of the Baskervilles,1902,crime|The Lost World,1912,science fiction
Anton Chekhov|1860|The Seagull,1896,play|Uncle Vanya,1898,play|The Cherry Orchard,1904,play
Edith Wharton|1862|The House of Mirth,1905,novel|Ethan Frome,1911,novel|The Age of Innocence,1920,novel
Rudyard Kipling|1865|The Jungle Book,1894,children|Kim,1901,adventure
H. G. Wells|1866|The Time Machine,1895,science fiction|The Island of Doctor Moreau,1896,science fiction|The Invisible Man,1897,science fiction|The War of the Worlds,1898,science fiction
Beatrix Potter|1866|The Tale of Peter Rabbit,1902,children
Willa Cather|1873|O Pioneers!,1913,novel|My Ántonia,1918,novel
L. M. Montgomery|1874|Anne of Green Gables,1908,children|Anne of Avonlea,1909,children
Thomas Mann|1875|Buddenbrooks,1901,novel|Death in Venice,1912,novel|The Magic Mountain,1924,novel
Jack London|1876|The Call of the Wild,1903,adventure|The Sea-Wolf,1904,adventure|White Fang,1906,adventure|The Iron Heel,1908,science fiction
E. M. Forster|1879|A Room with a View,1908,novel|Howards End,1910,novel|A Passage to India,1924,novel
Virginia Woolf|1882|Mrs Dalloway,1925,novel|To the Lighthouse,1927,novel|Orlando,1928,novel
James Joyce|1882|Dubliners,1914,novel|A Portrait of the Artist as a Young Man,1916,novel|Ulysses,1922,novel
Franz Kafka|1883|The Metamorphosis,1915,novel|The Trial,1925,novel|The Castle,1926,novel
Agatha Christie|1890|The Mysterious Affair at Styles,1920,crime|The Murder on the Links,1923,crime|The Murder of Roger Ackroyd,1926,crime
"""  # noqa: E501  # a table

READERS = ("Amara Diallo", "Bruno Keller", "Chen Li", "Dora Nagy", "Elif Kaya", "Femi Ade", "Greta Holm", "Hugo Reyes")
FIRST_LOAN = date(2025, 1, 7)


@dataclass(frozen=True, slots=True)
class Book:
    """One book, numbered from 1."""

    number: int
    title: str
    author: str
    born: int
    year: int
    genre: str

    @property
    def isbn(self) -> str:
        """A number in the form of an ISBN-13."""
        return f"978{self.number:010d}"

    @property
    def pages(self) -> int:
        """Something plausible, the same each time."""
        return 96 + (self.number * 37) % 700

    @property
    def is_available(self) -> bool:
        """Whether no open loan has it."""
        return all(loan.is_returned for loan in loans_of(self))


@dataclass(frozen=True, slots=True)
class Loan:
    """A reader has or had a book."""

    book: int
    reader: str
    lent_on: date
    is_returned: bool

    @property
    def due_on(self) -> date:
        """Three weeks later."""
        return self.lent_on + timedelta(days=21)


def books() -> list[Book]:
    """Return all books, in the order of their authors' births."""
    found: list[Book] = []
    for line in _BOOKS.strip().splitlines():
        author, born, *titles = line.split("|")
        for entry in titles:
            title, year, genre = entry.rsplit(",", 2)
            found.append(Book(len(found) + 1, title, author, int(born), int(year), genre))
    return found


def loans_of(book: Book) -> list[Loan]:
    """Return a book's loans, the oldest first: none to three."""
    starts = [FIRST_LOAN + timedelta(days=(book.number * 11 + turn * 97) % 330) for turn in range(book.number % 4)]
    newest = max(starts, default=None)
    return [
        Loan(
            book.number,
            READERS[(book.number + turn) % len(READERS)],
            lent_on,
            is_returned=lent_on != newest or book.number % 3 != 0,
        )
        for turn, lent_on in enumerate(sorted(starts))
    ]


def loans() -> list[Loan]:
    """Return every loan."""
    return [loan for book in books() for loan in loans_of(book)]
