// Once a signature was answered, what is asked afterwards for a lower position of the
// same key and kind gets none, unless it is a signature that was answered before.

package history

import "fmt"

func positionsRise(l *ledger) (broken []string) {
	known := map[string]Moment{} // signatures, and when they were first answered
	higher := map[row][]*Request{}
	for _, r := range l.signed() {
		if _, is := known[r.Signature]; !is {
			known[r.Signature] = r.Answered
		}
		at := r.row()
		// Each one answered by then that is higher; the newest last. One is enough.
		for _, before := range higher[at] {
			if before.Answered < r.Asked && before.position().compare(r.position()) > 0 && known[r.Signature] >= r.Asked {
				broken = append(broken, fmt.Sprintf("signed below what was signed before: %v; and before: %v", r, before))
				break
			}
		}
		// Only what is higher than all before it can show more.
		list := higher[at]
		if len(list) == 0 || list[len(list)-1].position().compare(r.position()) < 0 {
			higher[at] = append(list, r)
		}
	}
	return broken
}
