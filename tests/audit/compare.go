// A stranger's comparison of a log with its witness: Go's own sumdb/tlog and sumdb/note, none of this project's code.
//
//	compare -key CERTIFICATE -witness-key VKEY SERVER WITNESS
//
// SERVER is the installation's address, WITNESS that of its witness; both may be files that hold a checkpoint, then -proof names a file with
// the proof between them. The server's checkpoint must be signed by the key of the certificate, the witness's by that key and by the
// witness (C2SP tlog-cosignature, Ed25519), and the log must have grown from the one to the other (RFC 6962), else: exit 1.
package main

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/binary"
	"encoding/pem"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// logKey is an ECDSA key under a name, as C2SP's signed-note describes type 0x02.
type logKey struct {
	name string
	key  *ecdsa.PublicKey
	id   uint32
}

func (v logKey) Name() string    { return v.name }
func (v logKey) KeyHash() uint32 { return v.id }
func (v logKey) Verify(msg, sig []byte) bool {
	digest := sha256.Sum256(msg)
	return ecdsa.VerifyASN1(v.key, digest[:], sig)
}

// cosigner is an Ed25519 witness, as C2SP's tlog-cosignature describes type 0x04.
type cosigner struct {
	name string
	key  ed25519.PublicKey
	id   uint32
}

func (v cosigner) Name() string    { return v.name }
func (v cosigner) KeyHash() uint32 { return v.id }
func (v cosigner) Verify(msg, sig []byte) bool {
	if len(sig) != 8+ed25519.SignatureSize {
		return false
	}
	at := binary.BigEndian.Uint64(sig[:8])
	text := fmt.Sprintf("cosignature/v1\ntime %d\n%s", at, msg)
	return ed25519.Verify(v.key, []byte(text), sig[8:])
}

func fail(format string, values ...any) {
	fmt.Fprintf(os.Stderr, format+"\n", values...)
	os.Exit(1)
}

func check(err error, what string) {
	if err != nil {
		fail("%s: %v", what, err)
	}
}

func readLogKey(path, name string) note.Verifier {
	data, err := os.ReadFile(path)
	check(err, "certificate")
	block, _ := pem.Decode(data)
	if block == nil {
		fail("certificate: no PEM")
	}
	parsed, err := x509.ParseCertificate(block.Bytes)
	check(err, "certificate")
	key, ok := parsed.PublicKey.(*ecdsa.PublicKey)
	if !ok {
		fail("certificate: no elliptic curve key")
	}
	sum := sha256.Sum256(parsed.RawSubjectPublicKeyInfo)
	return logKey{name, key, binary.BigEndian.Uint32(sum[:4])}
}

func readCosigner(vkey string) note.Verifier {
	parts := strings.SplitN(vkey, "+", 3)
	if len(parts) != 3 {
		fail("witness key: not name+id+key")
	}
	key, err := base64.StdEncoding.DecodeString(parts[2])
	check(err, "witness key")
	if len(key) != 33 || key[0] != 4 {
		fail("witness key: not of an Ed25519 cosigner")
	}
	sum := sha256.Sum256([]byte(parts[0] + "\n" + string(key)))
	id := binary.BigEndian.Uint32(sum[:4])
	if fmt.Sprintf("%08x", id) != parts[1] {
		fail("witness key: the id is not that of name and key")
	}
	return cosigner{parts[0], ed25519.PublicKey(key[1:]), id}
}

func fetch(place, path string) string {
	if !strings.HasPrefix(place, "http://") && !strings.HasPrefix(place, "https://") {
		data, err := os.ReadFile(place)
		check(err, place)
		return string(data)
	}
	client := http.Client{Timeout: 10 * time.Second}
	answer, err := client.Get(strings.TrimSuffix(place, "/") + path)
	check(err, place)
	defer answer.Body.Close()
	data, err := io.ReadAll(io.LimitReader(answer.Body, 1<<20))
	check(err, place)
	if answer.StatusCode != 200 {
		fail("%s%s: %s", place, path, answer.Status)
	}
	return string(data)
}

// open returns the tree of a checkpoint that all of these signed.
func open(text, what string, signers ...note.Verifier) tlog.Tree {
	var tree tlog.Tree
	for _, signer := range signers {
		opened, err := note.Open([]byte(text), note.VerifierList(signer))
		check(err, what)
		parts := strings.SplitN(opened.Text, "\n", 4)
		if len(parts) < 4 || parts[0] != signers[0].Name() {
			fail("%s: another log", what)
		}
		size, err := strconv.ParseInt(parts[1], 10, 64)
		check(err, what)
		root, err := tlog.ParseHash(parts[2])
		check(err, what)
		tree = tlog.Tree{N: size, Hash: root}
	}
	return tree
}

func main() {
	certificate := flag.String("key", "", "the certificate of the key that signs the log (PEM)")
	vkey := flag.String("witness-key", "", "name, key id and key of the witness, as it states them")
	proofFile := flag.String("proof", "", "a file with the proof, where checkpoints are files")
	flag.Parse()
	if flag.NArg() != 2 {
		fail("compare -key CERTIFICATE -witness-key VKEY SERVER WITNESS")
	}
	seen := fetch(flag.Arg(1), "/checkpoint") // first: the server may sign more meanwhile
	said := fetch(flag.Arg(0), "/log/checkpoint")
	key := readLogKey(*certificate, strings.SplitN(said, "\n", 2)[0])
	server := open(said, "server", key)
	witness := open(seen, "witness", key, readCosigner(*vkey))
	switch {
	case witness.N > server.N:
		fail("the witness has seen %d entries, and the server shows %d: the log was put back", witness.N, server.N)
	case witness.N == server.N && witness.Hash != server.Hash:
		fail("server and witness have different logs of %d entries: the log has forked", server.N)
	case witness.N < server.N:
		place, path := flag.Arg(0), fmt.Sprintf("/log/consistency?old=%d&new=%d", witness.N, server.N)
		if *proofFile != "" {
			place = *proofFile
		}
		var proof tlog.TreeProof
		for _, line := range strings.Fields(fetch(place, path)) {
			hash, err := tlog.ParseHash(line)
			check(err, "proof")
			proof = append(proof, hash)
		}
		check(tlog.CheckTree(proof, server.N, server.Hash, witness.N, witness.Hash), "the log has forked")
	}
	fmt.Printf("the server's log of %d entries continues the %d that the witness has seen\n", server.N, witness.N)
}
