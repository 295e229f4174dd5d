package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"sluice/control"
	"sluice/control/admin"
	"sluice/control/file"
	"sluice/internal/problem"
	"sluice/internal/strict"
)

// directory is resources read from files.
//
//	routes/demo1.yaml       one route; its id is in the value, or is the file's name
//	services/all.yaml       a list of services, or several documents
//	everything.yaml         {routes: [...], settings: {limits: {...}}}: kinds, each with a list or with an object by id
type directory struct {
	resources []admin.ApplyResource
	from      []string       // where each was found
	kinds     []control.Kind // that there is a folder or a key for
	problems  []string
	owner     map[string]string // by kind/id: where it was found
}

// readDirectory reads a directory, or one file of kinds. All that is wrong is one error.
func readDirectory(root string) (*directory, error) {
	d := &directory{owner: make(map[string]string)}
	info, err := os.Stat(root)
	if err != nil {
		return nil, usageError{err}
	}
	if !info.IsDir() {
		d.read(root, filepath.Base(root), "")
	} else if err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error { return d.visit(root, path, e, err) }); err != nil {
		return nil, usageError{err}
	}
	if len(d.problems) > 0 {
		return nil, usageError{errors.New(strings.Join(d.problems, "\n  "))}
	}
	return d, nil
}

// visit takes one entry of the walk. What begins with a dot is not ours: .git, .gitkeep.
func (d *directory) visit(root, path string, e fs.DirEntry, err error) error {
	if err != nil {
		return err
	}
	name, err := filepath.Rel(root, path)
	if err != nil || name == "." {
		return err
	}
	if strings.HasPrefix(e.Name(), ".") {
		if e.IsDir() {
			return fs.SkipDir
		}
		return nil
	}
	folder, _, below := strings.Cut(filepath.ToSlash(name), "/")
	kind := control.Kind(folder)
	known := slices.Contains(kinds, kind)
	switch {
	case e.IsDir() && !below && known:
		d.has(kind)
	case e.IsDir() && !below:
		d.wrong(name, "is no kind of resource"+problem.DidYouMean(folder, strings.Split(kindNames, "|"))+"; a folder is one of "+kindNames)
		return fs.SkipDir
	case e.IsDir():
	case !slices.Contains([]string{".yaml", ".yml", ".json"}, filepath.Ext(name)):
		// A README beside the resources is welcome.
	case below:
		d.read(path, name, kind)
	default:
		d.read(path, name, "")
	}
	return nil
}

func (d *directory) wrong(where, text string) { d.problems = append(d.problems, where+": "+text) }

func (d *directory) has(kind control.Kind) {
	if !slices.Contains(d.kinds, kind) {
		d.kinds = append(d.kinds, kind)
	}
}

// read takes the resources of one file, of a kind or, for "", of the kinds that it names.
func (d *directory) read(path, name string, kind control.Kind) {
	text, err := os.ReadFile(path)
	if err != nil {
		d.problems = append(d.problems, err.Error())
		return
	}
	docs, err := file.ParseDocuments(text)
	if err != nil {
		var all problem.Problems
		all.Under("", err)
		for _, p := range all {
			d.problems = append(d.problems, name+":"+p.String())
		}
		return
	}
	stem := strings.TrimSuffix(filepath.Base(name), filepath.Ext(name))
	for _, doc := range docs {
		switch {
		case kind == "":
			d.readKinds(name, doc)
		case doc.Kind == strict.Array:
			d.readList(name, kind, doc)
		case len(docs) == 1:
			d.add(name, kind, stem, doc)
		default:
			d.add(name, kind, "", doc)
		}
	}
}

// readKinds takes a document that names kinds.
func (d *directory) readKinds(name string, doc *strict.Node) {
	if doc.Kind != strict.Object {
		d.wrong(at(name, doc), "wants an object with kinds of resources: "+kindNames)
		return
	}
	for _, m := range doc.Members {
		kind := control.Kind(m.Key)
		if !slices.Contains(kinds, kind) {
			d.wrong(at(name, m.Value), strconv.Quote(m.Key)+" is no kind of resource"+problem.DidYouMean(m.Key, strings.Split(kindNames, "|")))
			continue
		}
		d.has(kind)
		switch m.Value.Kind {
		case strict.Array:
			d.readList(name, kind, m.Value)
		case strict.Object:
			for _, one := range m.Value.Members {
				d.addAs(name, kind, one.Key, one.Value)
			}
		case strict.Null:
		default:
			d.wrong(at(name, m.Value), "wants a list of "+m.Key+", or an object by id")
		}
	}
}

func (d *directory) readList(name string, kind control.Kind, list *strict.Node) {
	for _, item := range list.Items {
		d.add(name, kind, "", item)
	}
}

// add takes a resource under the name that idOf finds.
func (d *directory) add(name string, kind control.Kind, otherwise string, doc *strict.Node) {
	id := idOf(kind, doc, otherwise)
	if id == "" {
		d.wrong(at(name, doc), "the value does not say what it is called")
		return
	}
	d.addAs(name, kind, id, doc)
}

func (d *directory) addAs(name string, kind control.Kind, id string, doc *strict.Node) {
	where, resource := at(name, doc), string(kind)+"/"+id
	if first, twice := d.owner[resource]; twice {
		d.wrong(where, resource+" is also in "+first)
		return
	}
	d.owner[resource] = where
	d.has(kind)
	d.resources = append(d.resources, admin.ApplyResource{Kind: kind, ID: id, Value: json.RawMessage(doc.AppendJSON(nil))})
	d.from = append(d.from, fmt.Sprintf("%s (%s)", name, resource))
}

// at names a place in a file, where its source has lines.
func at(name string, n *strict.Node) string {
	if n.Line == 0 {
		return name
	}
	return fmt.Sprintf("%s:%d:%d", name, n.Line, n.Column)
}

// request is what the gateway is asked to apply.
func (d *directory) request(prune bool, note string) admin.Apply {
	a := admin.Apply{Resources: d.resources, Note: note}
	if a.Resources == nil {
		a.Resources = []admin.ApplyResource{}
	}
	if prune {
		a.Prune = d.kinds
	}
	return a
}

// place turns a place in the request into one in the files.
func (d *directory) place(location string) string {
	rest, ok := strings.CutPrefix(location, "body.resources[")
	if !ok {
		return location
	}
	number, below, _ := strings.Cut(rest, "]")
	i, err := strconv.Atoi(number)
	if err != nil || i < 0 || i >= len(d.from) {
		return location
	}
	below = strings.TrimPrefix(strings.TrimPrefix(below, ".value"), ".")
	if below == "" {
		return d.from[i]
	}
	return d.from[i] + ": " + below
}
