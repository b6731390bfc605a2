// Writes the ids that @huggingface/tokenizers gives the texts of tokenizer/*.jsonl, for the
// tokenizer.json of the same name: node mk_tokenizer_ids.mjs, with that package installed.
// SPDX-License-Identifier: MIT
// Its \d is ASCII's, where the original counts all of Unicode's numbers as digits: texts with
// others are left out of bytes-smollm.jsonl, whose vocabulary has the step Digits.
import fs from 'fs';
import { Tokenizer } from '@huggingface/tokenizers';

const dir = new URL('tokenizer/', import.meta.url);
for (const name of fs.readdirSync(dir).filter((f) => f.endsWith('.json'))) {
    const tokenizer = new Tokenizer(JSON.parse(fs.readFileSync(new URL(name, dir))), {});
    const file = new URL(name.replace('.json', '.jsonl'), dir);
    const rows = fs.readFileSync(file, 'utf8').trimEnd().split('\n').map((s) => JSON.parse(s));
    for (const row of rows)
        row.ids = tokenizer.encode(row.text, { add_special_tokens: false }).ids;
    fs.writeFileSync(file, rows.map((row) => JSON.stringify(row) + '\n').join(''));
}
