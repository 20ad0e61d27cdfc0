package otp

// ShortDigits is the length of the codes of two-step verification, the older scheme. ParseCode and Truncate know nothing
// of it, so that no code of four digits is ever heard where longer ones are asked for: the two never equal each other.
const ShortDigits = 4

// ParseShort reads a code of four ASCII digits. Anything else is ErrShort.
func ParseShort(s string) (Code, error) {
	if len(s) != ShortDigits {
		return Code{}, ErrShort
	}
	c := Code{digits: ShortDigits}
	for i := range len(s) {
		d := s[i] - '0'
		if d > 9 {
			return Code{}, ErrShort
		}
		c.value = c.value*10 + uint32(d)
	}
	return c, nil
}

// TruncateShort makes a code of four digits of a MAC as Truncate does one of six. A MAC of fewer than 20 bytes gives the
// zero Code.
func TruncateShort(mac []byte) Code {
	long := Truncate(mac, MinDigits)
	if long.digits == 0 {
		return Code{}
	}
	return Code{value: long.value % powers[ShortDigits], digits: ShortDigits} // 10^4 divides 10^6
}
