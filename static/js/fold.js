/** Words as they are searched: in small letters, without accents, `ß` as `ss`. */
export const fold = (text) => text.toLowerCase().normalize("NFD").replace(/[\u0300-\u036f]/g, "").normalize().replaceAll("ß", "ss");
