#!/usr/bin/env python3
# Reads a stream by l2-stream(5) alone, independently of l2: zstd -dc unpacks it, the rest is here. Prints the JSON form,
# headers and ENDs included. With --same-as FILE, compares it with the lines on standard input instead.
# SPDX-License-Identifier: MIT
import json
import math
import struct
import subprocess
import sys


class Bad(Exception):
    pass


class Cbor:
    """The items of a CBOR sequence, as ('kind', value, begin, end)."""

    def __init__(self, data):
        self.data, self.pos = data, 0

    def take(self, n):
        if n > len(self.data) - self.pos:
            raise Bad(f'byte {self.pos}: runs past the end')
        self.pos += n
        return self.data[self.pos - n:self.pos]

    def argument(self, info):
        if info < 24:
            return info
        if info > 27:
            raise Bad(f'byte {self.pos}: additional information {info}')
        return int.from_bytes(self.take(1 << (info - 24)), 'big')

    def item(self, level=1):
        if level > 64:
            raise Bad('nested too deep')
        begin = self.pos
        first = self.take(1)[0]
        major, info = first >> 5, first & 31
        if info == 31 and major in (2, 3, 4, 5):
            kind, value = self.indefinite(major, level)
        elif major == 7:
            kind, value = self.simple(info)
        else:
            n = self.argument(info)
            if major == 0:
                kind, value = 'int', n
            elif major == 1:
                kind, value = 'int', -1 - n
            elif major == 2:
                kind, value = 'bytes', self.take(n)
            elif major == 3:
                kind, value = 'text', self.take(n).decode('utf-8', 'strict')
            elif major == 4:
                kind, value = 'array', [self.item(level + 1) for _ in range(n)]
            elif major == 5:
                kind, value = 'map', self.pairs(n, level)
            else:
                kind, value = 'tag', (n, self.item(level + 1))
        return kind, value, begin, self.pos

    def simple(self, info):
        if info in (20, 21):
            return 'bool', info == 21
        if info == 22:
            return 'null', None
        if info == 23:
            return 'undefined', None
        if info == 25:
            return 'f16', struct.unpack('>e', self.take(2))[0]
        if info == 26:
            return 'f32', struct.unpack('>f', self.take(4))[0]
        if info == 27:
            return 'f64', struct.unpack('>d', self.take(8))[0]
        raise Bad(f'byte {self.pos}: simple value or break')

    def at_break(self):
        if self.pos < len(self.data) and self.data[self.pos] == 0xff:
            self.pos += 1
            return True
        return False

    def indefinite(self, major, level):
        if major == 5:
            return 'map', self.pairs(None, level)
        parts = []
        while not self.at_break():
            parts.append(self.item(level + 1))
        if major == 4:
            return 'array', parts
        kind = 'bytes' if major == 2 else 'text'
        if any(p[0] != kind for p in parts):
            raise Bad('chunk of another type')
        return kind + ' in chunks', (b'' if major == 2 else '').join(p[1] for p in parts)

    def pairs(self, n, level):
        out = {}
        while not self.at_break() if n is None else len(out) < n:
            key = self.item(level + 1)
            if key[0] != 'text' or '\0' in key[1] or key[1] in out:
                raise Bad(f'byte {key[2]}: bad or duplicate key')
            out[key[1]] = self.item(level + 1)
        return out


def want(condition, what):
    if not condition:
        raise Bad(what)


def shortest_f32(v):
    for digits in range(1, 10):
        s = f'{v:.{digits}g}'
        try:
            if struct.pack('<f', float(s)) == struct.pack('<f', v):
                return float(s)
        except OverflowError:  # rounded up beyond the largest f32
            pass
    raise Bad('f32 without digits')


class Reader:
    """Items as JSON values, known fields first."""

    def __init__(self, data):
        self.data = data

    def raw(self, item):
        return {'$cbor': self.data[item[2]:item[3]].hex()}

    def free(self, item):
        """A value of a field that is not known."""
        kind, value = item[0], item[1]
        if kind == 'int':
            return value if -2**63 <= value < 2**63 else self.raw(item)
        if kind in ('f16', 'f32', 'f64'):
            return value if math.isfinite(value) else self.raw(item)
        if kind in ('text', 'text in chunks', 'bool', 'null'):
            return value
        if kind == 'array':
            return [self.free(x) for x in value]
        if kind == 'map' and list(value) != ['$cbor']:
            return {k: self.free(x) for k, x in value.items()}
        return self.raw(item)

    def text(self, item):
        want(item[0] == 'text', 'want text')
        return item[1]

    def uint(self, item):
        want(item[0] == 'int' and item[1] >= 0, 'want an unsigned integer')
        return self.free(item)

    def int64(self, item):
        want(item[0] == 'int' and -2**63 <= item[1] < 2**63, 'want an integer')
        return item[1]

    def f64(self, item):
        want(item[0] == 'f64' and math.isfinite(item[1]), 'want a finite f64')
        return item[1]

    def f32(self, item):
        want(item[0] == 'f32' and math.isfinite(item[1]), 'want a finite f32')
        return shortest_f32(item[1])

    def boolean(self, item):
        want(item[0] == 'bool', 'want false or true')
        return item[1]

    def typed(self, item, tag, code):
        want(item[0] == 'tag' and item[1][0] == tag and item[1][1][0] == 'bytes', f'want tag {tag} on bytes')
        data = item[1][1][1]
        want(len(data) % 4 == 0, 'bytes not a multiple of 4')
        return list(struct.unpack(f'<{len(data) // 4}{code}', data))

    def u32s(self, item):
        return self.typed(item, 70, 'I')

    def f32s(self, item):
        values = self.typed(item, 85, 'f')
        want(all(map(math.isfinite, values)), 'not finite')
        return [shortest_f32(v) for v in values]

    def embedding(self, item):
        if item[0] != 'tag' or item[1][0] != 40:
            return self.f32s(item)
        content = item[1][1]
        want(content[0] == 'array' and len(content[1]) == 2, 'want shape and numbers')
        rows, columns = (x[1] for x in content[1][0][1])
        values = self.f32s(content[1][1])
        want(rows > 0 and columns > 0 and rows * columns == len(values), 'shape and numbers differ')
        return [values[i * columns:(i + 1) * columns] for i in range(rows)]

    def any_map(self, item):
        want(item[0] == 'map', 'want a map')
        return {k: self.free(v) for k, v in item[1].items()}

    def scores(self, item):
        want(item[0] == 'map' and item[1], 'want a map with a score')
        return {k: self.f64(v) for k, v in item[1].items()}

    def spans(self, spans, ids):
        flat = [0] + spans + [len(ids)]
        want(len(spans) % 2 == 0 and flat == sorted(flat), 'spans out of order')

    def known(self, item, fields):
        """A map with known fields in the order of the page, and the others behind them."""
        want(item[0] == 'map', 'want a map')
        out = {name: read(item[1][name]) for name, read in fields if name in item[1]}
        names = {name for name, _ in fields}
        out.update((k, self.free(v)) for k, v in item[1].items() if k not in names)
        return out

    def gen(self, item):
        return self.known(item, [('k', self.uint), ('seed', self.uint), ('temperature', self.f64),
                                 ('model', self.text), ('round', self.int64)])

    SERIES = 'logprobs sampled_logprobs ref_logprobs values rewards advantages returns'.split()

    def completion(self, item):
        out = self.known(item, [('tokens', self.u32s)] + [(s, self.f32s) for s in self.SERIES] +
                         [('finish', self.text), ('scores', self.scores), ('labels', self.any_map), ('gen', self.gen),
                          ('embedding', self.embedding), ('spans', self.u32s), ('text', self.text)])
        tokens = out.get('tokens', [])
        want(all(len(out[s]) == len(tokens) for s in self.SERIES if s in out), 'series of another length')
        want(out.get('finish', 'eos') in ('eos', 'length', 'stop'), 'finish')
        self.spans(out.get('spans', []), tokens)
        return out

    def array(self, read):
        def read_array(item):
            want(item[0] == 'array', 'want an array')
            return [read(x) for x in item[1]]
        return read_array

    def message(self, item):
        return self.known(item, [('role', self.text), ('content', self.text)])

    def identity(self, item):
        return item[1] if item[0] == 'text' else self.int64(item)

    def record(self, item):
        out = self.known(item, [('id', self.identity), ('prompt', self.u32s), ('messages', self.array(self.message)),
                                ('completions', self.array(self.completion)), ('spans', self.u32s),
                                ('margin', self.f32), ('shape', self.text), ('meta', self.any_map),
                                ('embedding', self.embedding)])
        self.spans(out.get('spans', []), out.get('prompt', []))
        return out

    def magic(self, item):
        want(item[1] == 'l2s', 'magic')
        return item[1]

    def version(self, item):
        want(item[1] == 1, 'version')
        return item[1]

    def vocabulary(self, item):
        if item[0] == 'null':
            return None
        want(set(item[1]) == {'size', 'hash'} and len(item[1]['hash'][1]) == 32, 'vocabulary')
        return {'size': self.uint(item[1]['size']), 'hash': item[1]['hash'][1].hex()}

    def header(self, item):
        want(list(item[1])[:2] == ['magic', 'version'], 'magic and version first')
        return self.known(item, [('magic', self.magic), ('version', self.version), ('vocabulary', self.vocabulary),
                                 ('history', self.array(self.any_map))])

    def end(self, item):
        return self.known(item, [('complete', self.boolean), ('records', self.uint), ('tokens', self.uint),
                                 ('error', self.text)])


def read_stream(data):
    """Yields each item of the sequence; the order of items and the numbers of END are checked."""
    cbor, reader, header = Cbor(data), Reader(data), None
    want(data, 'empty')
    while cbor.pos < len(data):
        item = cbor.item()
        want(item[0] == 'map' and item[1], 'want a map')
        first = next(iter(item[1]))
        if first == 'magic':
            want(header is None, 'header inside a segment')
            header = reader.header(item)
            records = tokens = 0
            yield header
        elif first == 'complete':
            want(header is not None, 'END outside of a segment')
            header, end = None, reader.end(item)
            want((end['records'], end['tokens']) == (records, tokens), 'END counts otherwise')
            yield end
        else:
            want(first == 'id' and header is not None, 'no record, or no header')
            record = reader.record(item)
            ids = record.get('prompt', []) + [t for c in record.get('completions', []) for t in c.get('tokens', [])]
            vocabulary = header['vocabulary']
            want(vocabulary is None or all(t < vocabulary['size'] for t in ids), 'token beyond the vocabulary')
            records, tokens = records + 1, tokens + len(ids)
            yield record
    want(header is None, 'no END')


def main():
    compare = sys.argv[1] == '--same-as'
    path = sys.argv[2 if compare else 1]
    data = subprocess.run(['zstd', '-dc', '--', path], stdout=subprocess.PIPE, check=True).stdout
    lines = [json.dumps(item, ensure_ascii=False) for item in read_stream(data)]
    if not compare:
        sys.stdout.write(''.join(line + '\n' for line in lines))
        return 0
    other = [json.dumps(json.loads(line), ensure_ascii=False) for line in sys.stdin.buffer.read().decode().split('\n') if line]
    for number, (ours, theirs) in enumerate(zip(lines, other), 1):
        if ours != theirs:
            print(f'line {number}:\n  reader: {ours}\n  stdin:  {theirs}', file=sys.stderr)
            return 1
    if len(lines) != len(other):
        print(f'{len(lines)} items, {len(other)} lines', file=sys.stderr)
        return 1
    return 0


if __name__ == '__main__':
    try:
        sys.exit(main())
    except Bad as e:
        sys.exit(f'stream_reader.py: {e}')
