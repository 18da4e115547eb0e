// A stranger's verifier of an exported log: Go's own sumdb/tlog and sumdb/note, none of this project's code.
//
// Reads what `sifilma audit export` wrote, builds the tree with tlog, opens each checkpoint with note (the key comes from the file,
// unless a PEM certificate is named), compares the roots, and proves every leaf in the newest checkpoint and every checkpoint's growth
// into the next one. With -proofs it also takes proofs made elsewhere: one JSON object a line,
// {size, root, index, leaf, hashes} or {old, oldRoot, size, root, hashes} (hashes in base64).
package main

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"encoding/pem"
	"flag"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// verifier is an ECDSA key under a name, as C2SP's signed-note describes type 0x02.
type verifier struct {
	name string
	key  *ecdsa.PublicKey
	id   uint32
}

func (v verifier) Name() string    { return v.name }
func (v verifier) KeyHash() uint32 { return v.id }
func (v verifier) Verify(msg, sig []byte) bool {
	digest := sha256.Sum256(msg)
	return ecdsa.VerifyASN1(v.key, digest[:], sig)
}

func newVerifier(name string, spki []byte) verifier {
	parsed, err := x509.ParsePKIXPublicKey(spki)
	check(err, "key")
	sum := sha256.Sum256(spki)
	return verifier{name, parsed.(*ecdsa.PublicKey), binary.BigEndian.Uint32(sum[:4])}
}

type line struct {
	Log *struct {
		Origin string   `json:"origin"`
		Size   int64    `json:"size"`
		Keys   []string `json:"keys"`
	} `json:"log"`
	Leaf       *string `json:"leaf"`
	Checkpoint *string `json:"checkpoint"`
}

type hashes []tlog.Hash

func (stored hashes) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	found := make([]tlog.Hash, len(indexes))
	for at, index := range indexes {
		found[at] = stored[index]
	}
	return found, nil
}

func check(err error, what string) {
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", what, err)
		os.Exit(1)
	}
}

func rows(path string, each func([]byte)) {
	file, err := os.Open(path)
	check(err, path)
	defer file.Close()
	scanner := bufio.NewScanner(file)
	scanner.Buffer(nil, 1<<24)
	for scanner.Scan() {
		each(scanner.Bytes())
	}
	check(scanner.Err(), path)
}

func open(text string, known note.Verifiers) tlog.Tree {
	opened, err := note.Open([]byte(text), known)
	check(err, "checkpoint")
	parts := strings.SplitN(opened.Text, "\n", 4)
	size, err := strconv.ParseInt(parts[1], 10, 64)
	check(err, "size")
	root, err := tlog.ParseHash(parts[2])
	check(err, "root")
	return tlog.Tree{N: size, Hash: root}
}

func main() {
	certificate := flag.String("key", "", "the certificate that must have signed (PEM)")
	proofs := flag.String("proofs", "", "proofs made elsewhere")
	flag.Parse()
	var (
		stored hashes
		leaves []tlog.Hash
		signed []tlog.Tree
		known  note.Verifiers
	)
	rows(flag.Arg(0), func(data []byte) {
		var row line
		check(json.Unmarshal(data, &row), "line")
		switch {
		case row.Log != nil:
			known = verifiers(row.Log.Origin, row.Log.Keys, *certificate)
		case row.Leaf != nil:
			made, err := tlog.StoredHashes(int64(len(leaves)), []byte(*row.Leaf), stored)
			check(err, "leaf")
			stored = append(stored, made...)
			leaves = append(leaves, tlog.RecordHash([]byte(*row.Leaf)))
		case row.Checkpoint != nil:
			tree := open(*row.Checkpoint, known)
			root, err := tlog.TreeHash(int64(len(leaves)), stored)
			check(err, "root")
			if tree.N != int64(len(leaves)) || tree.Hash != root {
				check(fmt.Errorf("the entries do not lead to the checkpoint over %d", tree.N), "checkpoint")
			}
			signed = append(signed, tree)
		}
	})
	prove(stored, leaves, signed)
	given := 0
	if *proofs != "" {
		rows(*proofs, func(data []byte) { checkProof(data); given++ })
	}
	fmt.Printf("%d entries, %d checkpoints, %d proofs given\n", len(leaves), len(signed), given)
}

func verifiers(origin string, keys []string, certificate string) note.Verifiers {
	var found []note.Verifier
	if certificate != "" {
		data, err := os.ReadFile(certificate)
		check(err, "key")
		block, _ := pem.Decode(data)
		parsed, err := x509.ParseCertificate(block.Bytes)
		check(err, "key")
		return note.VerifierList(newVerifier(origin, parsed.RawSubjectPublicKeyInfo))
	}
	for _, key := range keys {
		spki, err := base64.StdEncoding.DecodeString(key)
		check(err, "key")
		found = append(found, newVerifier(origin, spki))
	}
	return note.VerifierList(found...)
}

// prove makes and checks tlog's own proofs over the file.
func prove(stored hashes, leaves []tlog.Hash, signed []tlog.Tree) {
	for at, tree := range signed {
		if at > 0 {
			proof, err := tlog.ProveTree(tree.N, signed[at-1].N, stored)
			check(err, "consistency")
			check(tlog.CheckTree(proof, tree.N, tree.Hash, signed[at-1].N, signed[at-1].Hash), "consistency")
		}
	}
	if len(signed) == 0 {
		return
	}
	newest := signed[len(signed)-1]
	for index := int64(0); index < newest.N; index++ {
		proof, err := tlog.ProveRecord(newest.N, index, stored)
		check(err, "inclusion")
		check(tlog.CheckRecord(proof, newest.N, newest.Hash, index, leaves[index]), "inclusion")
	}
}

// checkProof holds a proof made elsewhere against tlog's checks.
func checkProof(data []byte) {
	var given struct {
		Size    int64    `json:"size"`
		Root    string   `json:"root"`
		Hashes  []string `json:"hashes"`
		Index   int64    `json:"index"`
		Leaf    *string  `json:"leaf"`
		Old     int64    `json:"old"`
		OldRoot string   `json:"oldRoot"`
	}
	check(json.Unmarshal(data, &given), "proof")
	root, err := tlog.ParseHash(given.Root)
	check(err, "root")
	path := make([]tlog.Hash, len(given.Hashes))
	for at, text := range given.Hashes {
		path[at], err = tlog.ParseHash(text)
		check(err, "hash")
	}
	if given.Leaf != nil {
		check(tlog.CheckRecord(path, given.Size, root, given.Index, tlog.RecordHash([]byte(*given.Leaf))), "inclusion proof")
		return
	}
	old, err := tlog.ParseHash(given.OldRoot)
	check(err, "old root")
	check(tlog.CheckTree(path, given.Size, root, given.Old, old), "consistency proof")
}
